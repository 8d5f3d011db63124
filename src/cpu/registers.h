// Vectors of f32 as wide as registers. A type wider than the processor's registers makes slow code (comparisons
// of it even number by number), so loops are templates over it and take what fits when they are called.
#pragma once

#include "cpu/simd.h"

#include <cstdint>

namespace descent {

using Vector = float __attribute__((vector_size(64)));   // a register of AVX-512
using Half = float __attribute__((vector_size(32)));     // of AVX2
using Quarter = float __attribute__((vector_size(16)));  // of SSE

// Registers of the same size with other numbers in them.
template <class Register>
struct Others;
template <>
struct Others<Vector> {
  using Bits = std::uint32_t __attribute__((vector_size(64)));
  using Doubles = double __attribute__((vector_size(64)));
};
template <>
struct Others<Half> {
  using Bits = std::uint32_t __attribute__((vector_size(32)));
  using Doubles = double __attribute__((vector_size(32)));
};

template <class Register>
inline constexpr std::int64_t register_width = sizeof(Register) / sizeof(float);

// A register's numbers from an address that is a multiple of its size, and to one.
template <class Register>
[[nodiscard, gnu::always_inline]] inline Register load_register(const float* from) {
  return *reinterpret_cast<const Register*>(from);
}
template <class Register>
[[gnu::always_inline]] inline void store_register(float* to, const Register& numbers) {
  *reinterpret_cast<Register*>(to) = numbers;
}
// Through volatile: else GCC reads numbers that are used several times from memory each time.
template <class Register>
[[nodiscard, gnu::always_inline]] inline Register load_register_once(const float* from) {
  return *reinterpret_cast<const volatile Register*>(from);
}

// This processor has them, with all of x86-64-v4, and this build uses them.
[[nodiscard]] inline bool has_avx512_registers() {
  return may_use_avx512 && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512cd") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0;
}

// f(a value of the widest register's type).
template <class Function>
decltype(auto) with_registers(Function&& f) {
  return has_avx512_registers() ? f(Vector{}) : f(Half{});
}

}  // namespace descent
