// What the innermost loops over pictures share: blocks of sums in registers, of sizes that the compiler knows.
#pragma once

#include "cpu/lanes.h"
#include "cpu/lanes_loops.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace descent {

// Calls Loop::run<outputs, few>(work) for 8, 4, 2 or 1 outputs and, of pixels or inputs, up to Loop::most: 3
// or 1.
template <class Loop, int outputs, class Work>
[[gnu::always_inline]] inline void run_block(const Work& work, std::int64_t few) {
  if constexpr (Loop::most == 3) {
    if (few == 3) return Loop::template run<outputs, 3>(work);
    if (few == 2) return Loop::template run<outputs, 2>(work);
  }
  Loop::template run<outputs, 1>(work);
}

template <class Loop, class Work>
[[gnu::always_inline]] inline void run_block(const Work& work, std::int64_t few) {
  if (work.outputs == 8) return run_block<Loop, 8>(work, few);
  if (work.outputs == 4) return run_block<Loop, 4>(work, few);
  if (work.outputs == 2) return run_block<Loop, 2>(work, few);
  run_block<Loop, 1>(work, few);
}

// A block of sums in registers, each through the activation.
template <class Register, std::size_t outputs, std::size_t pixels>
[[gnu::always_inline]] inline void activate(Register (&sums)[outputs][pixels], const ReluRule& activation) {
  const auto apply = [&](const auto& rule) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (auto& of_output : sums) {
#pragma GCC unroll 3
      for (Register& sum : of_output) sum = rule.value(sum);
    }
  };
  with_least_rule(&activation, apply);
}

[[nodiscard, gnu::always_inline]] inline float sum_lanes(const Half& eight) {
  const Quarter four =
      __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

[[nodiscard, gnu::always_inline]] inline float sum_lanes(const Vector& vector) {
  return sum_lanes(Half{__builtin_shufflevector(vector, vector, 0, 1, 2, 3, 4, 5, 6, 7) +
                        __builtin_shufflevector(vector, vector, 8, 9, 10, 11, 12, 13, 14, 15)});
}

// The sums of four vectors' lanes at once.
[[nodiscard, gnu::always_inline]] inline Quarter sum_lanes(const std::array<Half, 4>& v) {
  const auto pairs = [](const Half& a, const Half& b) {
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13) +
           __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
  };
  const Half low = pairs(v[0], v[1]);
  const Half high = pairs(v[2], v[3]);
  const Half quarters = __builtin_shufflevector(low, high, 0, 1, 8, 9, 4, 5, 12, 13) +
                        __builtin_shufflevector(low, high, 2, 3, 10, 11, 6, 7, 14, 15);
  return __builtin_shufflevector(quarters, quarters, 0, 1, 2, 3) +
         __builtin_shufflevector(quarters, quarters, 4, 5, 6, 7);
}

// The sums of eight vectors' lanes at once: halves are added and put side by side until each is one number.
[[nodiscard, gnu::always_inline]] inline Half sum_lanes(const std::array<Vector, 8>& v) {
  const auto halves = [](const Vector& a, const Vector& b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  };
  const auto quarters = [](const Vector& a, const Vector& b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  };
  const Vector low = quarters(halves(v[0], v[1]), halves(v[2], v[3]));
  const Vector high = quarters(halves(v[4], v[5]), halves(v[6], v[7]));
  const Vector pairs =
      __builtin_shufflevector(low, high, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
      __builtin_shufflevector(low, high, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
  return __builtin_shufflevector(pairs, pairs, 0, 2, 4, 6, 8, 10, 12, 14) +
         __builtin_shufflevector(pairs, pairs, 1, 3, 5, 7, 9, 11, 13, 15);
}

// A block of sums, of sixteen lanes each.
template <int outputs, int inputs>
struct LaneSums {
  Vector of[std::size_t{outputs}][std::size_t{inputs}] = {};

  // gradient[i·input_step + o] += the sum of the lanes of of[o][i]
  [[gnu::always_inline]] void add_to(float* gradient, std::int64_t input_step) const {
#pragma GCC unroll 3
    for (int i = 0; i < inputs; ++i) {
      if constexpr (outputs == 8) {
        Half& to = *reinterpret_cast<Half*>(gradient + i * input_step);
        to += sum_lanes(std::array<Vector, 8>{of[0][i], of[1][i], of[2][i], of[3][i], of[4][i], of[5][i],
                                              of[6][i], of[7][i]});
      } else {
#pragma GCC unroll 4
        for (int o = 0; o < outputs; ++o) gradient[i * input_step + o] += sum_lanes(of[o][i]);
      }
    }
  }
};

// The weight gradient of a box. Pair::add<outputs, inputs>(sums, box, x, dy) adds the products of one pixel of
// a vector of pictures.
template <class Pair>
struct AddProducts {
  static constexpr int most = 3;

  template <int outputs, int inputs, class Element>
  [[gnu::always_inline]] static inline void run(const LanesBox<Element>& box) {
    LaneSums<outputs, inputs> sums;
    for (std::int64_t outer = 0; outer < box.outer.count; ++outer) {
      for (std::int64_t middle = 0; middle < box.middle.count; ++middle) {
        const Element* x = box.x + outer * box.outer.x + middle * box.middle.x;
        const Element* dy = box.dy + outer * box.outer.dy + middle * box.middle.dy;
        for (std::int64_t inner = 0; inner < box.inner.count; ++inner) {
          Pair::template add<outputs, inputs>(sums, box, x, dy);
          x += box.inner.x;
          dy += box.inner.dy;
        }
      }
    }
    sums.add_to(box.gradient, box.input_step);
  }
};

}  // namespace descent
