// The innermost loops of the convolution in bf16, thirty-two pictures to a vector, for any processor: products
// and sums are of f32, made as numbers are read.
// Bound: arithmetic, as in f32, with the conversions on top. For registers of AVX-512; in shorter ones the sums
// do not fit (4 GFLOP/s where f32 reaches 157), and plans do not take it (may_use_lanes()). No share measured:
// processors with dot products take lanes_bf16_dot.cpp, and none with AVX-512 alone was at hand.
#include "cpu/lane_step.h"
#include "cpu/lanes_loops.h"
#include "cpu/lanes_sums.h"
#include "cpu/simd.h"

#include <bit>

namespace descent {

namespace {

using Step = LaneStep<Bf16, Vector>;

struct Gather {
  static constexpr int most = LanesElement<Bf16>::pixels;

  template <int outputs, int pixel>
  [[gnu::always_inline]] static void run(const LanesBlock<Bf16>& block) {
    Vector sums[std::size_t{outputs}][2];  // the even pictures, the odd ones
#pragma GCC unroll 8
    for (int o = 0; o < outputs; ++o) {
      sums[o][0] = Vector{} + (block.bias == nullptr ? 0.0F : block.bias[o]);
      sums[o][1] = sums[o][0];
    }
    for (std::int64_t channel = 0; channel < block.channels; ++channel) {
      const Bf16* const x = block.x + channel * block.x_channel;
      const std::uint32_t* const weights = block.weights + channel / 2 * block.kernel_taps * outputs;
      const bool second = channel % 2 == 1;
      for (const LanesTap& tap : block.taps) {
        const Step read = Step::load(x + tap.x);
        const std::uint32_t* const weight = weights + tap.kernel * outputs;
#pragma GCC unroll 8
        for (int o = 0; o < outputs; ++o) {
          const auto w = std::bit_cast<float>(second ? weight[o] & 0xffff0000U : weight[o] << 16U);
          sums[o][0] += w * read.of[0];
          sums[o][1] += w * read.of[1];
        }
      }
    }
    if (block.activation != nullptr) activate(sums, *block.activation);
#pragma GCC unroll 8
    for (int o = 0; o < outputs; ++o) Step{{sums[o][0], sums[o][1]}}.store(block.y + o * block.y_channel);
  }
};

struct Pair {
  template <int outputs, int inputs>
  [[gnu::always_inline]] static void add(LaneSums<outputs, inputs>& sums, const LanesBox<Bf16>& box,
                                         const Bf16* x, const Bf16* dy) {
#pragma GCC unroll 3
    for (int i = 0; i < inputs; ++i) {
      const Step read = Step::load(x + i * box.x_channel);
#pragma GCC unroll 8
      for (int o = 0; o < outputs; ++o) {
        const Step slope = Step::load(dy + o * box.dy_channel);
        sums.of[o][i] += slope.of[0] * read.of[0] + slope.of[1] * read.of[1];
      }
    }
  }
};

DESCENT_CLONES void gather(const LanesBlock<Bf16>& block) {
  run_block<Gather>(block, block.pixels);
}

DESCENT_CLONES void add_products(const LanesBox<Bf16>& box) {
  run_block<AddProducts<Pair>>(box, box.inputs);
}

DESCENT_CLONES float sum_of(const Bf16* values, std::int64_t count) {
  Vector sum{};
  for (std::int64_t i = 0; i < count; i += bf16_lanes) {
    const Step step = Step::load(values + i);
    sum += step.of[0] + step.of[1];
  }
  return sum_lanes(sum);
}

}  // namespace

LanesLoops<Bf16> bf16_portable_loops() {
  return {gather, add_products, sum_of};
}

}  // namespace descent
