// Registers of f32 as two of doubles.
#pragma once

#include "cpu/registers.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

namespace descent {

// Half as many numbers as a register of f32 holds.
template <class Register>
using Doubles = typename Others<Register>::Doubles;

// The lower and the upper half of the lanes.
template <class Register>
struct Wide {
  Doubles<Register> low, high;
};

// Through arrays: GCC 12 makes two conversions of this, but of the vectors' own elements a gather of sixteen.
// Right behind a read they are those of memory; elsewhere the way through memory costs a dozen cycles.
template <class Register>
[[nodiscard, gnu::always_inline]] inline Wide<Register> widened(const Register& v) {
  constexpr auto width = static_cast<std::size_t>(register_width<Register>);
  const auto narrow = std::bit_cast<std::array<float, width>>(v);
  alignas(Register) std::array<double, width> wide;
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = narrow[i];
  return std::bit_cast<Wide<Register>>(wide);
}

// Half a register's numbers from an address that is a multiple of half its size.
template <class Register>
[[nodiscard, gnu::always_inline]] inline Doubles<Register> load_doubles(const float* from) {
  constexpr std::size_t width = register_width<Register> / 2;
  std::array<float, width> narrow;
  std::copy_n(from, width, narrow.begin());
  alignas(Register) std::array<double, width> wide;
  for (std::size_t i = 0; i < width; ++i) wide[i] = narrow[i];
  return std::bit_cast<Doubles<Register>>(wide);
}

// The sum of the lanes.
template <class Numbers>
[[nodiscard, gnu::always_inline]] inline double total(const Numbers& v) {
  if constexpr (sizeof(Numbers) == sizeof(Vector)) {
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
  } else {
    return (v[0] + v[2]) + (v[1] + v[3]);
  }
}

}  // namespace descent
