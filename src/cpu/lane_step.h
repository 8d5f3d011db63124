// What one register's worth of elements is to loops over lanes: one vector of f32, or two from bf16.
#pragma once

#include "cpu/lanes.h"
#include "plan/element.h"

#include <cstdint>

namespace descent {

// Thirty-two bf16 as they lie in memory: the even ones in the lower halves.
using Bf16Pairs = std::uint32_t __attribute__((vector_size(64)));

// Rounded as to_bf16() does, in the lower halves.
[[nodiscard, gnu::always_inline]] inline Bf16Pairs rounded(const Vector& value) {
  const auto bits = reinterpret_cast<Bf16Pairs>(value);
  const Bf16Pairs nearest = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const Bf16Pairs quiet = (bits >> 16) | 0x40U;
  return value == value ? nearest : quiet;
}

template <class Element>
struct LaneStep;

template <>
struct LaneStep<float> {
  static constexpr std::int64_t width = lanes;
  Vector of[1];

  [[gnu::always_inline]] static LaneStep load(const float* from) {
    return {{*reinterpret_cast<const Vector*>(from)}};
  }
  [[gnu::always_inline]] void store(float* to) const { *reinterpret_cast<Vector*>(to) = of[0]; }
};

template <>
struct LaneStep<Bf16> {
  static constexpr std::int64_t width = bf16_lanes;
  Vector of[2];  // the even ones, the odd ones

  [[gnu::always_inline]] static LaneStep load(const Bf16* from) {
    const Bf16Pairs both = *reinterpret_cast<const Bf16Pairs*>(from);
    return {{reinterpret_cast<Vector>(both << 16), reinterpret_cast<Vector>(both & 0xffff0000U)}};
  }
  [[gnu::always_inline]] void store(Bf16* to) const {
    *reinterpret_cast<Bf16Pairs*>(to) = rounded(of[0]) | (rounded(of[1]) << 16);
  }
};

}  // namespace descent
