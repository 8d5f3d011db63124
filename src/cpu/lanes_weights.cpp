// Weight gradient of a convolution, sixteen pictures to a vector.
// Idea: for one tap the outputs that it reached are a rectangle, without edges. A block of 8 output × 3 input
// channels stays in registers over such rectangles of a stretch of pictures that fits the first cache, then its
// lanes are summed and added to the partial gradient: so the sum over lanes, like the block's way in and out of
// registers, is paid once in some hundred multiply-adds also on maps of 2×2.
// Bound: arithmetic; 11 vectors are read for 24 multiply-adds. Measured with one thread of a Zen 5 (padded taps
// counted): 195 to 235 GFLOP/s from 8 channels on, 120 from one, where memory is the bound; the forward pass of
// the same layers 260 to 325.
#include "cpu/lanes_conv.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

#include <algorithm>
#include <array>

namespace descent {

namespace {

constexpr std::int64_t most_parts = 8;        // partial gradients, whatever the number of threads
constexpr std::int64_t pixels_in_cache = 56;  // of 8 output channels: 28 KiB

// One axis of a box of pixels and pictures, with the way from one to the next in floats.
struct Steps {
  std::int64_t count, x, dy;
};

// Pixels of dy that multiply pixels of x; the longest axis is innermost.
struct Box {
  const float* x;  // the first, of the first input channel
  const float* dy;
  std::int64_t x_channel;
  std::int64_t dy_channel;
  Steps outer, middle, inner;
};

using Half = float __attribute__((vector_size(32)));
using Quarter = float __attribute__((vector_size(16)));

[[gnu::always_inline]] inline float sum_lanes(const Vector& vector) {
  const Half eight = __builtin_shufflevector(vector, vector, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(vector, vector, 8, 9, 10, 11, 12, 13, 14, 15);
  const Quarter four =
      __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

// The sums of eight vectors' lanes at once: halves are added and put side by side until each is one number.
[[gnu::always_inline]] inline Half sum_lanes(const std::array<Vector, 8>& v) {
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

// gradient[i·input_step + o] += Σ dy[o]·x[i]
template <int outputs, int inputs>
[[gnu::always_inline]] inline void add_products(const Box& box, float* gradient, std::int64_t input_step) {
  Vector sums[std::size_t{outputs}][std::size_t{inputs}] = {};
  for (std::int64_t outer = 0; outer < box.outer.count; ++outer) {
    for (std::int64_t middle = 0; middle < box.middle.count; ++middle) {
      const float* x = box.x + outer * box.outer.x + middle * box.middle.x;
      const float* dy = box.dy + outer * box.outer.dy + middle * box.middle.dy;
      for (std::int64_t inner = 0; inner < box.inner.count; ++inner) {
        Vector read[std::size_t{inputs}];
#pragma GCC unroll 3
        for (int i = 0; i < inputs; ++i) read[i] = *reinterpret_cast<const Vector*>(x + i * box.x_channel);
#pragma GCC unroll 8
        for (int o = 0; o < outputs; ++o) {
          // Volatile: else GCC reads it again from memory in each multiplication.
          const Vector slope = *reinterpret_cast<const volatile Vector*>(dy + o * box.dy_channel);
#pragma GCC unroll 3
          for (int i = 0; i < inputs; ++i) sums[o][i] += slope * read[i];
        }
        x += box.inner.x;
        dy += box.inner.dy;
      }
    }
  }
#pragma GCC unroll 3
  for (int i = 0; i < inputs; ++i) {
    if constexpr (outputs == 8) {
      Half& to = *reinterpret_cast<Half*>(gradient + i * input_step);
      to += sum_lanes(std::array<Vector, 8>{sums[0][i], sums[1][i], sums[2][i], sums[3][i], sums[4][i],
                                            sums[5][i], sums[6][i], sums[7][i]});
    } else {
#pragma GCC unroll 4
      for (int o = 0; o < outputs; ++o) gradient[i * input_step + o] += sum_lanes(sums[o][i]);
    }
  }
}

template <int outputs>
[[gnu::always_inline]] inline void add_inputs(const Box& box, std::int64_t inputs, float* gradient,
                                              std::int64_t input_step) {
  if (inputs == 3) return add_products<outputs, 3>(box, gradient, input_step);
  if (inputs == 2) return add_products<outputs, 2>(box, gradient, input_step);
  add_products<outputs, 1>(box, gradient, input_step);
}

DESCENT_CLONES void add_block(const Box& box, std::int64_t outputs, std::int64_t inputs, float* gradient,
                              std::int64_t input_step) {
  switch (outputs) {
    case 8:
      return add_inputs<8>(box, inputs, gradient, input_step);
    case 4:
      return add_inputs<4>(box, inputs, gradient, input_step);
    case 2:
      return add_inputs<2>(box, inputs, gradient, input_step);
    default:
      return add_inputs<1>(box, inputs, gradient, input_step);
  }
}

DESCENT_CLONES float sum_of(const float* values, std::int64_t count) {
  Vector sum{};
  for (std::int64_t i = 0; i < count; i += lanes) sum += *reinterpret_cast<const Vector*>(values + i);
  return sum_lanes(sum);
}

// Threes, but 4 = 2 + 2: one alone reads more than it multiplies.
std::int64_t inputs_at(std::int64_t channel, std::int64_t channels) {
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

}  // namespace

LanesWeightGradient::LanesWeightGradient(const LanesProblem& problem, bool bias)
    : problem_(problem),
      bias_(bias),
      parts_(std::min(most_parts, problem.blocks)),
      stretch_(std::max<std::int64_t>(pixels_in_cache / (problem.rows.output * problem.columns.output), 1)) {
  // Strips of output rows of much the same height.
  const std::int64_t rows = problem.rows.output;
  const std::int64_t most_rows = std::max<std::int64_t>(pixels_in_cache / problem.columns.output, 1);
  const std::int64_t strips = (rows - 1) / most_rows + 1;
  for (std::int64_t strip = 0; strip < strips; ++strip) {
    strips_.push_back(reaches(rows * strip / strips, rows * (strip + 1) / strips));
  }
}

// With one input channel, taps that are neighbours take the place of channels: as many outputs are read, but
// three times as much is done with them. What only some of them reached is left to each alone.
std::vector<LanesWeightGradient::Reach> LanesWeightGradient::reaches(std::int64_t top,
                                                                     std::int64_t bottom) const {
  const LanesProblem& p = problem_;
  const std::int64_t together = p.in_channels == 1 ? 3 : 1;
  std::vector<Reach> found;
  for (std::int64_t kh = 0; kh < p.rows.kernel; ++kh) {
    const Reached down(p.rows, kh);
    const std::int64_t row = std::max(down.first, top);
    const std::int64_t rows = std::min(down.last, bottom) - row;
    if (rows <= 0) continue;
    const std::int64_t in_row = row * p.rows.stride - p.rows.padding + kh * p.rows.dilation;
    const auto add = [&](std::int64_t kw, std::int64_t taps, std::int64_t first, std::int64_t last) {
      if (first >= last) return;
      const std::int64_t in_column = first * p.columns.stride - p.columns.padding + kw * p.columns.dilation;
      found.push_back({(in_row * p.columns.input + in_column) * lanes, (row * p.columns.output + first) * lanes,
                       rows, last - first, kh * p.columns.kernel + kw, taps});
    };
    for (std::int64_t kw = 0; kw < p.columns.kernel; kw += together) {
      const std::int64_t taps = std::min(together, p.columns.kernel - kw);
      std::int64_t first = 0;
      std::int64_t last = p.columns.output;
      for (std::int64_t tap = kw; tap < kw + taps; ++tap) {
        first = std::max(first, Reached(p.columns, tap).first);
        last = std::min(last, Reached(p.columns, tap).last);
      }
      add(kw, taps, first, last);
      last = std::max(first, last);
      for (std::int64_t tap = kw; taps > 1 && tap < kw + taps; ++tap) {
        const Reached across(p.columns, tap);
        add(tap, 1, across.first, std::min(first, across.last));
        add(tap, 1, std::max(last, across.first), across.last);
      }
    }
  }
  return found;
}

void LanesWeightGradient::clear(float* partial) const {
  std::fill_n(partial, this->partial(), 0.0F);
}

// One strip of one block of output channels from `output` on.
void LanesWeightGradient::add_strip(const std::vector<Reach>& strip, const float* x, const float* dy,
                                    std::int64_t dy_picture, std::int64_t pictures, std::int64_t output,
                                    float* partial) const {
  const LanesProblem& p = problem_;
  const std::int64_t x_channel = p.rows.input * p.columns.input * lanes;
  const std::int64_t outputs = channel_block(output, p.out_channels);
  float* const gradient = partial + output * p.in_channels * p.taps();
  Box box{};
  box.dy_channel = p.rows.output * p.columns.output * lanes;
  for (std::int64_t i = 0; i < p.in_channels; i += inputs_at(i, p.in_channels)) {
    for (const Reach& reach : strip) {
      box.x = x + i * x_channel + reach.x;
      box.dy = dy + output * box.dy_channel + reach.dy;
      const Steps across{reach.columns, p.columns.stride * lanes, lanes};
      const Steps along{pictures, p.in_channels * x_channel, dy_picture};
      box.middle = {reach.rows, p.rows.stride * p.columns.input * lanes, p.columns.output * lanes};
      box.outer = across.count >= along.count ? along : across;
      box.inner = across.count >= along.count ? across : along;
      const bool of_taps = reach.taps > 1;
      box.x_channel = of_taps ? p.columns.dilation * lanes : x_channel;
      add_block(box, outputs, of_taps ? reach.taps : inputs_at(i, p.in_channels),
                gradient + (i * p.taps() + reach.tap) * outputs, (of_taps ? 1 : p.taps()) * outputs);
    }
  }
}

void LanesWeightGradient::add(const float* x, const float* dy, std::int64_t dy_picture, std::int64_t pictures,
                              float* partial) const {
  const LanesProblem& p = problem_;
  for (std::int64_t output = 0; output < p.out_channels; output += channel_block(output, p.out_channels)) {
    for (const auto& strip : strips_) add_strip(strip, x, dy, dy_picture, pictures, output, partial);
  }
  if (!bias_) return;
  const std::int64_t dy_channel = p.rows.output * p.columns.output * lanes;
  for (std::int64_t n = 0; n < pictures; ++n) {
    for (std::int64_t o = 0; o < p.out_channels; ++o) {
      partial[p.weights() + o] += sum_of(dy + n * dy_picture + o * dy_channel, dy_channel);
    }
  }
}

void LanesWeightGradient::finish(const CpuContext& context, const float* scratch, float* weight_gradient,
                                 float* bias_gradient) const {
  const LanesProblem& p = problem_;
  const auto total = [&, this](std::int64_t at) {
    float sum = 0;
    for (std::int64_t part = 0; part < parts_; ++part) sum += scratch[part * partial() + at];
    return sum;
  };
  const std::int64_t pairs = p.in_channels * p.taps();
  const std::int64_t grain = 8 * std::max<std::int64_t>(1, 512 / pairs);
  parallel_for(context.threads, p.out_channels, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = begin; first < end; first += channel_block(first, p.out_channels)) {
      const std::int64_t outputs = channel_block(first, p.out_channels);
      for (std::int64_t pair = 0; pair < pairs; ++pair) {
        for (std::int64_t o = 0; o < outputs; ++o) {
          weight_gradient[(first + o) * pairs + pair] = total(first * pairs + pair * outputs + o);
        }
      }
    }
  });
  if (bias_gradient == nullptr) return;
  for (std::int64_t o = 0; o < p.out_channels; ++o) bias_gradient[o] = bias_ ? total(p.weights() + o) : 0.0F;
}

void LanesWeightGradient::run(const CpuContext& context, const float* x, const float* dy, float* scratch,
                              float* weight_gradient, float* bias_gradient) const {
  const LanesProblem& p = problem_;
  const std::int64_t x_picture = p.in_channels * p.rows.input * p.columns.input * lanes;
  const std::int64_t dy_picture = p.out_channels * p.rows.output * p.columns.output * lanes;
  parallel_for(context.threads, parts_, 1, [&, this](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      float* const sums = scratch + part * partial();
      clear(sums);
      for_stretches(part, [&, this](std::int64_t n, std::int64_t pictures) {
        add(x + n * x_picture, dy + n * dy_picture, dy_picture, pictures, sums);
      });
    }
  });
  finish(context, scratch, weight_gradient, bias_gradient);
}

}  // namespace descent
