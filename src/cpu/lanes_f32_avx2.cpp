// The innermost loops of the convolution in f32 where a register holds eight numbers and there are sixteen
// registers (AVX2): a vector of sixteen pictures is two halves.
// Idea: as lanes_f32_avx512.cpp, but a block is computed in parts of at most 4 outputs × 3 pixels (or inputs) ×
// 1 half, so that its twelve sums, three values of x and a weight are just what the registers hold. Both halves
// and the other outputs read x again, from the first cache. Bound: arithmetic, two multiply-adds of 8 lanes a
// cycle; each part reads 7 registers for 12 multiply-adds. Measured with two threads of a Zen 4 (preset avx2),
// whose peak is 236 GFLOP/s: forward with statistics, normalisation and activation 1.03 to 1.11 of it from 16
// channels on (padded taps counted), 0.79 from 8, 0.25 from one; gradients from 16 on 0.86 to 0.93.
#include "cpu/lanes_loops.h"
#include "cpu/lanes_sums.h"
#include "cpu/simd.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace descent {

namespace {

constexpr std::int64_t half_lanes = lanes / 2;
constexpr int most_together = 4;  // outputs whose sums stay in registers

// Outputs [first, first + few) of a block, `halves` of the pictures' two from `half` on.
template <int outputs, int few, int pixels, int halves>
[[gnu::always_inline]] inline void gather_part(const LanesBlock<float>& block, int first, std::int64_t half) {
  constexpr int columns = pixels * halves;  // pixels, then the same of the other half
  const auto at = [&](int column, std::int64_t pixel) {
    return half + column / pixels * half_lanes + column % pixels * pixel;
  };
  const auto y = [&](int o, int column) {
    return block.y + (first + o) * block.y_channel + at(column, block.y_pixel);
  };
  Half sums[std::size_t{few}][std::size_t{columns}];
  if (block.continues) {
#pragma GCC unroll 4
    for (int o = 0; o < few; ++o) {
#pragma GCC unroll 3
      for (int c = 0; c < columns; ++c) sums[o][c] = load_register<Half>(y(o, c));
    }
  } else {
#pragma GCC unroll 4
    for (int o = 0; o < few; ++o) {
#pragma GCC unroll 3
      for (int c = 0; c < columns; ++c) {
        sums[o][c] = Half{} + (block.bias == nullptr ? 0.0F : block.bias[first + o]);
      }
    }
  }
  const float* x = block.x;
  const float* weights = block.weights + first;
  for (std::int64_t channel = 0; channel < block.channels; ++channel) {
    for (const LanesTap& tap : block.taps) {
      const float* const from = x + tap.x;
      const float* const weight = weights + tap.kernel * outputs;
      Half read[std::size_t{columns}];
#pragma GCC unroll 3
      for (int c = 0; c < columns; ++c) read[c] = load_register<Half>(from + at(c, block.x_pixel));
#pragma GCC unroll 4
      for (int o = 0; o < few; ++o) {
#pragma GCC unroll 3
        for (int c = 0; c < columns; ++c) sums[o][c] += weight[o] * read[c];
      }
    }
    x += block.x_channel;
    weights += block.kernel_taps * outputs;
  }
  if (block.activation != nullptr) activate(sums, *block.activation);
#pragma GCC unroll 4
  for (int o = 0; o < few; ++o) {
#pragma GCC unroll 3
    for (int c = 0; c < columns; ++c) store_register(y(o, c), sums[o][c]);
  }
}

struct Gather {
  static constexpr int most = LanesElement<float>::pixels;

  template <int outputs, int pixels>
  [[gnu::always_inline]] static void run(const LanesBlock<float>& block) {
    constexpr int few = std::min(outputs, most_together);
    constexpr int halves = pixels == 1 ? 2 : 1;  // fewer than eight sums would wait for each other
    for (std::int64_t half = 0; half < lanes; half += halves * half_lanes) {
      for (int first = 0; first < outputs; first += few) {
        gather_part<outputs, few, pixels, halves>(block, first, half);
      }
    }
  }
};

// The weight gradient of a box of at most 4 outputs × 3 inputs. Both halves of the pictures go into the same
// sums: the sum over lanes, like the sums' way in and out of registers, is paid once for both. They take turns
// outside of the innermost loop: with both inside GCC 12 keeps one of the twelve sums in memory, and each
// addition waits for the store of the one before (69 GFLOP/s a thread of a Zen 3 instead of 99).
struct AddHalves {
  static constexpr int most = 3;

  template <int outputs, int inputs>
  [[gnu::always_inline]] static void run(const LanesBox<float>& box) {
    if constexpr (outputs <= most_together) {
      Half sums[std::size_t{outputs}][std::size_t{inputs}] = {};
      for (std::int64_t turn = 0; turn < 2 * box.outer.count; ++turn) {
        const std::int64_t outer = turn / 2;
        const std::int64_t half = turn % 2 * half_lanes;
        for (std::int64_t middle = 0; middle < box.middle.count; ++middle) {
          const float* x = box.x + half + outer * box.outer.x + middle * box.middle.x;
          const float* dy = box.dy + half + outer * box.outer.dy + middle * box.middle.dy;
          for (std::int64_t inner = 0; inner < box.inner.count; ++inner) {
            add(sums, box, x, dy);
            x += box.inner.x;
            dy += box.inner.dy;
          }
        }
      }
#pragma GCC unroll 3
      for (int i = 0; i < inputs; ++i) {
        float* const gradient = box.gradient + i * box.input_step;
        if constexpr (outputs == 4) {
          *reinterpret_cast<Quarter*>(gradient) +=
              sum_lanes(std::array<Half, 4>{sums[0][i], sums[1][i], sums[2][i], sums[3][i]});
        } else {
          for (int o = 0; o < outputs; ++o) gradient[o] += sum_lanes(sums[o][i]);
        }
      }
    }
  }

  template <std::size_t outputs, std::size_t inputs>
  [[gnu::always_inline]] static void add(Half (&sums)[outputs][inputs], const LanesBox<float>& box,
                                         const float* x, const float* dy) {
    Half read[inputs];
#pragma GCC unroll 3
    for (std::size_t i = 0; i < inputs; ++i) {
      read[i] = load_register_once<Half>(x + static_cast<std::int64_t>(i) * box.x_channel);
    }
#pragma GCC unroll 4
    for (std::size_t o = 0; o < outputs; ++o) {
      const Half slope = load_register_once<Half>(dy + static_cast<std::int64_t>(o) * box.dy_channel);
#pragma GCC unroll 3
      for (std::size_t i = 0; i < inputs; ++i) sums[o][i] += slope * read[i];
    }
  }
};

DESCENT_CLONES void gather(const LanesBlock<float>& block) {
  run_block<Gather>(block, block.pixels);
}

DESCENT_CLONES void add_products(const LanesBox<float>& box) {
  run_block<AddHalves>(box, box.inputs);
}

DESCENT_CLONES float sum_of(const float* values, std::int64_t count) {
  Half low{}, high{};
  for (std::int64_t i = 0; i < count; i += lanes) {
    low += load_register<Half>(values + i);
    high += load_register<Half>(values + i + half_lanes);
  }
  return sum_lanes(low + high);
}

}  // namespace

LanesLoops<float> f32_avx2_loops() {
  constexpr std::int64_t most_read = std::int64_t{24} * 1024;  // the smallest first cache has 32 KiB
  return {gather, add_products, sum_of, most_together, most_read};
}

}  // namespace descent
