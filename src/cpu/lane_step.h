// What one register's worth of elements is to loops over lanes: one register of f32, or two from bf16.
#pragma once

#include "cpu/registers.h"
#include "plan/element.h"

#include <cstdint>

namespace descent {

// Bits of a register; of bf16 as they lie in memory, the even ones in the lower halves.
template <class Register>
using BitsOf = typename Others<Register>::Bits;

// Rounded as to_bf16() does, in the lower halves.
template <class Register>
[[nodiscard, gnu::always_inline]] inline BitsOf<Register> rounded(const Register& value) {
  const auto bits = reinterpret_cast<BitsOf<Register>>(value);
  const BitsOf<Register> nearest = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const BitsOf<Register> quiet = (bits >> 16) | 0x40U;
  return value == value ? nearest : quiet;
}

template <class Element, class Register>
struct LaneStep;

template <class Register>
struct LaneStep<float, Register> {
  static constexpr std::int64_t width = register_width<Register>;
  Register of[1];

  [[gnu::always_inline]] static LaneStep load(const float* from) { return {{load_register<Register>(from)}}; }
  [[gnu::always_inline]] void store(float* to) const { store_register(to, of[0]); }
};

template <class Register>
struct LaneStep<Bf16, Register> {
  static constexpr std::int64_t width = 2 * register_width<Register>;
  Register of[2];  // the even ones, the odd ones

  [[gnu::always_inline]] static LaneStep load(const Bf16* from) {
    const auto both = *reinterpret_cast<const BitsOf<Register>*>(from);
    return {{reinterpret_cast<Register>(both << 16), reinterpret_cast<Register>(both & 0xffff0000U)}};
  }
  [[gnu::always_inline]] void store(Bf16* to) const {
    *reinterpret_cast<BitsOf<Register>*>(to) = rounded(of[0]) | (rounded(of[1]) << 16);
  }
};

}  // namespace descent
