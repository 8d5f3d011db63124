// The innermost loops of the convolution in f32, sixteen pictures to a vector, where a register holds that many
// and there are thirty-two (AVX-512).
// Idea: forward and input gradient, a block of 8 output channels × 3 pixels stays in registers over all input
// channels and taps; a vector of x is read for 8 multiply-adds, a weight, broadcast, for 3. Weight gradient, a
// block of 8 output × 3 input channels stays in registers over pixels and pictures, then its lanes are summed.
// Bound: arithmetic, two multiply-adds of 16 lanes a cycle; with one input channel the stores. The weight
// gradient reads 11 vectors for 24 multiply-adds. Measured with two threads of a Zen 5 (train --explain; padded
// taps counted): forward and input gradient 400 to 500 GFLOP/s from 8 channels on, 180 from one; with one
// thread: weight gradient 195 to 235 from 8 channels on, 120 from one, where memory is the bound; the forward
// pass of the same layers 260 to 325. Two threads of a Zen 4, whose peak is 236 GFLOP/s: forward with
// statistics, normalisation and activation 0.99 to 1.08 of it from 16 channels on, 0.72 to 0.77 from 8, 0.30 to
// 0.42 from one.
#include "cpu/lanes_loops.h"
#include "cpu/lanes_sums.h"
#include "cpu/simd.h"

#include <array>
#include <cstddef>

namespace descent {

namespace {

struct Gather {
  static constexpr int most = LanesElement<float>::pixels;

  template <int outputs, int pixels>
  [[gnu::always_inline]] static void run(const LanesBlock<float>& block) {
    const auto y = [&](int o, int p) { return block.y + o * block.y_channel + p * block.y_pixel; };
    Vector sums[std::size_t{outputs}][std::size_t{pixels}];
#pragma GCC unroll 8
    for (int o = 0; o < outputs; ++o) {
      const float start = block.bias == nullptr ? 0.0F : block.bias[o];
#pragma GCC unroll 3
      for (int p = 0; p < pixels; ++p) sums[o][p] = Vector{} + start;
    }
    const float* x = block.x;
    const float* weights = block.weights;
    for (std::int64_t channel = 0; channel < block.channels; ++channel) {
      for (const LanesTap& tap : block.taps) {
        const float* const from = x + tap.x;
        const float* const weight = weights + tap.kernel * outputs;
        Vector read[std::size_t{pixels}];
#pragma GCC unroll 3
        for (int p = 0; p < pixels; ++p) read[p] = load_register<Vector>(from + p * block.x_pixel);
#pragma GCC unroll 8
        for (int o = 0; o < outputs; ++o) {
#pragma GCC unroll 3
          for (int p = 0; p < pixels; ++p) sums[o][p] += weight[o] * read[p];
        }
      }
      x += block.x_channel;
      weights += block.kernel_taps * outputs;
    }
    if (block.activation != nullptr) activate(sums, *block.activation);
#pragma GCC unroll 8
    for (int o = 0; o < outputs; ++o) {
#pragma GCC unroll 3
      for (int p = 0; p < pixels; ++p) store_register(y(o, p), sums[o][p]);
    }
  }
};

struct Pair {
  template <int outputs, int inputs>
  [[gnu::always_inline]] static void add(LaneSums<outputs, inputs>& sums, const LanesBox<float>& box,
                                         const float* x, const float* dy) {
    Vector read[std::size_t{inputs}];
#pragma GCC unroll 3
    for (int i = 0; i < inputs; ++i) read[i] = load_register<Vector>(x + i * box.x_channel);
#pragma GCC unroll 8
    for (int o = 0; o < outputs; ++o) {
      const auto slope = load_register_once<Vector>(dy + o * box.dy_channel);
#pragma GCC unroll 3
      for (int i = 0; i < inputs; ++i) sums.of[o][i] += slope * read[i];
    }
  }
};

DESCENT_CLONES void gather(const LanesBlock<float>& block) {
  run_block<Gather>(block, block.pixels);
}

DESCENT_CLONES void add_products(const LanesBox<float>& box) {
  run_block<AddProducts<Pair>>(box, box.inputs);
}

DESCENT_CLONES float sum_of(const float* values, std::int64_t count) {
  // In four chains, so that additions need not wait for each other.
  constexpr std::int64_t chains = 4;
  std::array<Vector, std::size_t{chains}> sums{};
  std::int64_t i = 0;
  for (; i + chains * lanes <= count; i += chains * lanes) {
    for (std::int64_t chain = 0; chain < chains; ++chain) {
      sums[static_cast<std::size_t>(chain)] += load_register<Vector>(values + i + chain * lanes);
    }
  }
  for (; i < count; i += lanes) sums[0] += load_register<Vector>(values + i);
  return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

}  // namespace

LanesLoops<float> f32_avx512_loops() {
  return {gather, add_products, sum_of};
}

}  // namespace descent
