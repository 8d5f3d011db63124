// The innermost loops of the convolution in bf16 with the instruction that adds two products a lane, which no
// vector extension can express. Only to be called where has_bf16_dot_products() says so.
// Idea: forward and the input's gradient sum over pairs of channels, whose vectors are zipped once for 8
// outputs; the weights' gradient sums over pictures, whose pairs are neighbours in memory already.
// Bound: arithmetic, two instructions of 32 multiply-adds a cycle: twice the rate of f32. Measured with one
// thread of a Zen 5 (padded taps counted): forward and input gradient 510 to 740 GFLOP/s from 8 channels on,
// where f32 gives 250 to 350. Two threads of a Zen 4, whose peak is 473 GFLOP/s: forward with statistics,
// normalisation and activation 0.94 to 1.01 of it from 16 channels on, 0.56 to 0.60 from 8, 0.21 to 0.26 from
// one.
#include "cpu/lanes_loops.h"
#include "cpu/lanes_sums.h"
#include "cpu/simd.h"

#include <immintrin.h>

#include <array>

namespace descent {

namespace {

// Every function here is for the same instructions; all are inlined into the two at the end.

[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] inline __m512bh pairs(__m512i vector) {
  return reinterpret_cast<__m512bh>(vector);
}

struct Gather {
  static constexpr int most = LanesElement<Bf16>::pixels;

  template <int outputs, int pixel>
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] static inline void run(
      const LanesBlock<Bf16>& block) {
    Vector sums[std::size_t{outputs}][2];  // of every eight pictures the first four, and the others
#pragma GCC unroll 8
    for (int o = 0; o < outputs; ++o) {
      sums[o][0] = Vector{} + (block.bias == nullptr ? 0.0F : block.bias[o]);
      sums[o][1] = sums[o][0];
    }
    const Bf16* x = block.x;
    const std::uint32_t* weights = block.weights;
    for (std::int64_t channel = 0; channel < block.channels; channel += 2) {
      const bool alone = channel + 1 == block.channels;
      for (const LanesTap& tap : block.taps) {
        const __m512i first = _mm512_load_si512(x + tap.x);
        const __m512i second = alone ? _mm512_setzero_si512() : _mm512_load_si512(x + block.x_channel + tap.x);
        const __m512bh zipped_low = pairs(_mm512_unpacklo_epi16(first, second));
        const __m512bh zipped_high = pairs(_mm512_unpackhi_epi16(first, second));
        const std::uint32_t* const weight = weights + tap.kernel * outputs;
#pragma GCC unroll 8
        for (int o = 0; o < outputs; ++o) {
          const __m512bh both = pairs(_mm512_set1_epi32(static_cast<int>(weight[o])));
          sums[o][0] = _mm512_dpbf16_ps(sums[o][0], zipped_low, both);
          sums[o][1] = _mm512_dpbf16_ps(sums[o][1], zipped_high, both);
        }
      }
      x += 2 * block.x_channel;
      weights += block.kernel_taps * outputs;
    }
    if (block.activation != nullptr) activate(sums, *block.activation);
    alignas(64) static constexpr std::array<std::int16_t, 32> order{0,  1,  2,  3,  16, 17, 18, 19, 4,  5,  6,
                                                                    7,  20, 21, 22, 23, 8,  9,  10, 11, 24, 25,
                                                                    26, 27, 12, 13, 14, 15, 28, 29, 30, 31};
    const __m512i unzip = _mm512_load_si512(order.data());
#pragma GCC unroll 8
    for (int o = 0; o < outputs; ++o) {
      const auto halves = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(sums[o][1], sums[o][0]));
      _mm512_store_si512(block.y + o * block.y_channel, _mm512_permutexvar_epi16(unzip, halves));
    }
  }
};

struct Pair {
  template <int outputs, int inputs>
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] static inline void add(
      LaneSums<outputs, inputs>& sums, const LanesBox<Bf16>& box, const Bf16* x, const Bf16* dy) {
    __m512bh read[std::size_t{inputs}];
#pragma GCC unroll 3
    for (int i = 0; i < inputs; ++i) read[i] = pairs(_mm512_load_si512(x + i * box.x_channel));
#pragma GCC unroll 8
    for (int o = 0; o < outputs; ++o) {
      const __m512bh slope = pairs(_mm512_load_si512(dy + o * box.dy_channel));
#pragma GCC unroll 3
      for (int i = 0; i < inputs; ++i) sums.of[o][i] = _mm512_dpbf16_ps(sums.of[o][i], slope, read[i]);
    }
  }
};

[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] void gather(const LanesBlock<Bf16>& block) {
  run_block<Gather>(block, block.pixels);
}

[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] void add_products(const LanesBox<Bf16>& box) {
  run_block<AddProducts<Pair>>(box, box.inputs);
}

}  // namespace

bool has_bf16_dot_products() {
  return may_use_avx512 && __builtin_cpu_supports("avx512bf16") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0;
}

LanesLoops<Bf16> bf16_dot_loops() {
  return {gather, add_products, bf16_portable_loops().sum};
}

}  // namespace descent
