#include "weights/convert.h"

#include <bit>
#include <cstring>

namespace descent {

namespace {

template <class Element, class Convert>
void convert_all(std::span<const std::byte> bytes, std::span<float> values, const Convert& convert) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    Element element{};
    std::memcpy(&element, bytes.data() + i * sizeof(Element), sizeof(Element));
    values[i] = convert(element);
  }
}

}  // namespace

float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

float from_half(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16U;
  const std::uint32_t exponent = (bits >> 10U) & 0x1fU;
  const std::uint32_t fraction = bits & 0x3ffU;
  if (exponent == 0) {  // zero and subnormal: fraction · 2⁻²⁴
    const float size = static_cast<float>(fraction) * (1.0F / 16777216.0F);
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(size) | sign);
  }
  const std::uint32_t wide = exponent == 0x1f ? 0xffU : exponent + 127 - 15;
  return std::bit_cast<float>(sign | (wide << 23U) | (fraction << 13U));
}

bool converts_to_f32(DType type) {
  return type == DType::f64 || type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

void convert_to_f32(std::span<const std::byte> bytes, DType type, std::span<float> values) {
  switch (type) {
    case DType::f32:
      if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size_bytes());
      return;
    case DType::f64:
      return convert_all<double>(bytes, values, [](double value) { return static_cast<float>(value); });
    case DType::f16:
      return convert_all<std::uint16_t>(bytes, values, from_half);
    case DType::bf16:
      return convert_all<std::uint16_t>(bytes, values, from_bfloat16);
    case DType::i64:
    case DType::i32:
    case DType::u8:
      return;  // callers ask converts_to_f32 first
  }
}

}  // namespace descent
