// The element types of activations. Kernels compute in f32 and meet the type only where they read and write.
// constexpr, so that CUDA code can call it too.
#pragma once

#include "descent/tensor.h"

#include <bit>
#include <cstdint>

namespace descent {

// The upper half of an f32: its sign, its exponent and seven of its digits.
struct Bf16 {
  std::uint16_t bits;  // without a first value: shared memory of CUDA can have none
};

[[nodiscard]] constexpr float to_f32(float value) {
  return value;
}
[[nodiscard]] constexpr float to_f32(Bf16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16U);
}

// Rounded to the nearest, to the even one on ties; what is not a number stays so, whatever its digits.
[[nodiscard]] constexpr Bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U;
  const std::uint32_t quiet = (bits >> 16U) | 0x40U;
  const bool not_a_number = (bits & 0x7fffffffU) > 0x7f800000U;
  return {static_cast<std::uint16_t>(not_a_number ? quiet : rounded)};
}

// f32 as an element of the type asked for.
template <class Element>
[[nodiscard]] constexpr Element to_element(float value);
template <>
constexpr float to_element<float>(float value) {
  return value;
}
template <>
constexpr Bf16 to_element<Bf16>(float value) {
  return to_bf16(value);
}

// f(an element of the type): kernels are templates over it.
template <class Function>
decltype(auto) with_element(DType type, Function&& f) {
  return type == DType::bf16 ? f(Bf16{}) : f(0.0F);
}

}  // namespace descent
