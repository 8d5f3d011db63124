// How the weight gradient of a convolution with pictures innermost is cut into blocks, for any element type.
#pragma once

#include "cpu/lanes_conv.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace descent {

using Half = float __attribute__((vector_size(32)));
using Quarter = float __attribute__((vector_size(16)));

[[nodiscard, gnu::always_inline]] inline float sum_lanes(const Vector& vector) {
  const Half eight = __builtin_shufflevector(vector, vector, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(vector, vector, 8, 9, 10, 11, 12, 13, 14, 15);
  const Quarter four =
      __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
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

  // gradient[o·output_step + i·input_step] += the sum of the lanes of of[o][i]
  [[gnu::always_inline]] void add_to(float* gradient, std::int64_t output_step, std::int64_t input_step) const {
#pragma GCC unroll 3
    for (int i = 0; i < inputs; ++i) {
      if constexpr (outputs == 8) {
        const Half totals = sum_lanes(std::array<Vector, 8>{of[0][i], of[1][i], of[2][i], of[3][i], of[4][i],
                                                            of[5][i], of[6][i], of[7][i]});
#pragma GCC unroll 8
        for (int o = 0; o < outputs; ++o) gradient[o * output_step + i * input_step] += totals[o];
      } else {
#pragma GCC unroll 4
        for (int o = 0; o < outputs; ++o) gradient[o * output_step + i * input_step] += sum_lanes(of[o][i]);
      }
    }
  }
};

// gradient[o·output_step + i·input_step] += Σ dy[o]·x[i] over a rectangle of pixels, in blocks of pictures.
template <class Element>
struct LanesProducts {
  const Element* x = nullptr;  // at the first pixel, first input channel, first block of pictures
  const Element* dy = nullptr;
  std::int64_t pictures = 0;  // blocks of as many as a vector holds
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  // From one to the next, in elements.
  std::int64_t x_picture = 0, x_channel = 0, x_row = 0, x_column = 0;
  std::int64_t dy_picture = 0, dy_channel = 0, dy_row = 0;
  std::int64_t outputs = 0;  // 8, 4, 2 or 1
  std::int64_t inputs = 0;   // 3, 2 or 1
  float* gradient = nullptr;
  std::int64_t output_step = 0, input_step = 0;
};

// Threes, but 4 = 2 + 2: one alone reads more than it multiplies.
[[nodiscard]] constexpr std::int64_t input_block(std::int64_t channel, std::int64_t channels) {
  const std::int64_t left = channels - channel;
  if (left == 4 || left == 2) return 2;
  return left >= 3 ? 3 : 1;
}

// The outputs [first, last) of an axis that tap `k` reached.
struct Reached {
  std::int64_t first, last;
  Reached(const Axis& axis, std::int64_t k) {
    const std::int64_t shift = k * axis.dilation - axis.padding;
    first = shift >= 0 ? 0 : (-shift + axis.stride - 1) / axis.stride;
    last = shift >= axis.input ? 0 : std::min(axis.output, (axis.input - 1 - shift) / axis.stride + 1);
  }
};

// A stretch of pictures that is gone through tap by tap while its dy stays in the first cache.
inline constexpr std::int64_t pixels_in_cache = 48;  // of 8 output channels: 24 KiB
[[nodiscard]] inline std::int64_t stretch_of(const LanesProblem& p) {
  return std::max<std::int64_t>(pixels_in_cache / (p.rows.output * p.columns.output), 1);
}

// Calls add(block) for all products of one stretch: `pictures` blocks of `width` pictures each, of which x and
// dy are the first; those of dy are dy_picture apart.
template <class Element, class Add>
void for_products(const LanesProblem& p, std::int64_t width, const Element* x, const Element* dy,
                  std::int64_t dy_picture, std::int64_t pictures, float* weights, Add&& add) {
  const std::int64_t taps = p.taps();
  const std::int64_t rows = std::clamp<std::int64_t>(pixels_in_cache / p.columns.output, 1, p.rows.output);
  LanesProducts<Element> at;
  at.pictures = pictures;
  at.x_channel = p.rows.input * p.columns.input * width;
  at.x_picture = p.in_channels * at.x_channel;
  at.x_row = p.rows.stride * p.columns.input * width;
  at.x_column = p.columns.stride * width;
  at.dy_channel = p.rows.output * p.columns.output * width;
  at.dy_picture = dy_picture;
  at.dy_row = p.columns.output * width;
  at.output_step = p.in_channels * taps;
  at.input_step = taps;
  const auto add_tap = [&](std::int64_t o, std::int64_t i, std::int64_t row, std::int64_t kh, std::int64_t kw) {
    const Reached across(p.columns, kw);
    at.columns = across.last - across.first;
    if (at.columns <= 0) return;
    const std::int64_t in_row = row * p.rows.stride - p.rows.padding + kh * p.rows.dilation;
    const std::int64_t in_column =
        across.first * p.columns.stride - p.columns.padding + kw * p.columns.dilation;
    at.x = x + i * at.x_channel + (in_row * p.columns.input + in_column) * width;
    at.dy = dy + o * at.dy_channel + (row * p.columns.output + across.first) * width;
    at.gradient = weights + (o * p.in_channels + i) * taps + kh * p.columns.kernel + kw;
    add(std::as_const(at));
  };
  for (std::int64_t o = 0; o < p.out_channels; o += at.outputs) {
    at.outputs = channel_block(o, p.out_channels);
    for (std::int64_t top = 0; top < p.rows.output; top += rows) {
      for (std::int64_t i = 0; i < p.in_channels; i += at.inputs) {
        at.inputs = input_block(i, p.in_channels);
        for (std::int64_t kh = 0; kh < p.rows.kernel; ++kh) {
          const Reached down(p.rows, kh);
          const std::int64_t row = std::max(down.first, top);
          at.rows = std::min(down.last, top + rows) - row;
          if (at.rows <= 0) continue;
          for (std::int64_t kw = 0; kw < p.columns.kernel; ++kw) add_tap(o, i, row, kh, kw);
        }
      }
    }
  }
}

}  // namespace descent
