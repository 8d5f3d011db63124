// The innermost loops of the bf16 convolution with the instruction that adds two products a lane, which no
// vector extension can express. Only to be called where has_bf16_dot_products() says so.
// Idea: forward and the input's gradient sum over pairs of channels, whose vectors are zipped once for 8
// outputs; the weights' gradient sums over pictures, whose pairs are neighbours in memory already.
// Bound: arithmetic, two instructions of 32 multiply-adds a cycle: twice the rate of f32.
#include "cpu/lanes_bf16.h"
#include "cpu/simd.h"

#include <immintrin.h>

#include <array>

namespace descent {

namespace {

// Every function here is for the same instructions; all are inlined into the two at the end.

[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] inline __m512bh pairs(__m512i vector) {
  return reinterpret_cast<__m512bh>(vector);
}

template <int outputs>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] inline void gather(const Bf16Gather& block) {
  __m512 low[std::size_t{outputs}];
  __m512 high[std::size_t{outputs}];
#pragma GCC unroll 8
  for (int o = 0; o < outputs; ++o) {
    low[o] = _mm512_set1_ps(block.bias == nullptr ? 0.0F : block.bias[o]);
    high[o] = low[o];
  }
  const Bf16* x = block.x;
  const std::uint32_t* weights = block.weights;
  for (std::int64_t channel = 0; channel < block.channels; channel += 2) {
    const bool alone = channel + 1 == block.channels;
    for (const Bf16Tap& tap : block.taps) {
      const __m512i first = _mm512_load_si512(x + tap.x);
      const __m512i second = alone ? _mm512_setzero_si512() : _mm512_load_si512(x + block.x_channel + tap.x);
      const __m512bh zipped_low = pairs(_mm512_unpacklo_epi16(first, second));
      const __m512bh zipped_high = pairs(_mm512_unpackhi_epi16(first, second));
      const std::uint32_t* const weight = weights + tap.kernel * outputs;
#pragma GCC unroll 8
      for (int o = 0; o < outputs; ++o) {
        const __m512bh both = pairs(_mm512_set1_epi32(static_cast<int>(weight[o])));
        low[o] = _mm512_dpbf16_ps(low[o], zipped_low, both);
        high[o] = _mm512_dpbf16_ps(high[o], zipped_high, both);
      }
    }
    x += 2 * block.x_channel;
    weights += block.kernel_taps * outputs;
  }
  // Of every eight pictures `low` has the first four, `high` the others.
  alignas(64) static constexpr std::array<std::int16_t, 32> order{0,  1,  2,  3,  16, 17, 18, 19, 4,  5,  6,
                                                                  7,  20, 21, 22, 23, 8,  9,  10, 11, 24, 25,
                                                                  26, 27, 12, 13, 14, 15, 28, 29, 30, 31};
  const __m512i unzip = _mm512_load_si512(order.data());
#pragma GCC unroll 8
  for (int o = 0; o < outputs; ++o) {
    const auto halves = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high[o], low[o]));
    _mm512_store_si512(block.y + o * block.y_channel, _mm512_permutexvar_epi16(unzip, halves));
  }
}

template <int outputs, int inputs>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] inline void add_products(
    const LanesProducts<Bf16>& at) {
  LaneSums<outputs, inputs> sums;
  for (std::int64_t picture = 0; picture < at.pictures; ++picture) {
    for (std::int64_t row = 0; row < at.rows; ++row) {
      const Bf16* x = at.x + picture * at.x_picture + row * at.x_row;
      const Bf16* dy = at.dy + picture * at.dy_picture + row * at.dy_row;
      for (std::int64_t column = 0; column < at.columns; ++column) {
        __m512bh read[std::size_t{inputs}];
#pragma GCC unroll 3
        for (int i = 0; i < inputs; ++i) read[i] = pairs(_mm512_load_si512(x + i * at.x_channel));
#pragma GCC unroll 8
        for (int o = 0; o < outputs; ++o) {
          const __m512bh slope = pairs(_mm512_load_si512(dy + o * at.dy_channel));
#pragma GCC unroll 3
          for (int i = 0; i < inputs; ++i) sums.of[o][i] = _mm512_dpbf16_ps(sums.of[o][i], slope, read[i]);
        }
        x += at.x_column;
        dy += bf16_lanes;
      }
    }
  }
  sums.add_to(at.gradient, at.output_step, at.input_step);
}

template <int outputs>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] inline void add_inputs(
    const LanesProducts<Bf16>& at) {
  if (at.inputs == 3) return add_products<outputs, 3>(at);
  if (at.inputs == 2) return add_products<outputs, 2>(at);
  add_products<outputs, 1>(at);
}

[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] void gather_any(const Bf16Gather& block) {
  if (block.outputs == 8) return gather<8>(block);
  if (block.outputs == 4) return gather<4>(block);
  if (block.outputs == 2) return gather<2>(block);
  gather<1>(block);
}

[[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]] void add_products_any(
    const LanesProducts<Bf16>& at) {
  if (at.outputs == 8) return add_inputs<8>(at);
  if (at.outputs == 4) return add_inputs<4>(at);
  if (at.outputs == 2) return add_inputs<2>(at);
  add_inputs<1>(at);
}

}  // namespace

bool has_bf16_dot_products() {
  return may_use_avx512 && __builtin_cpu_supports("avx512bf16") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0;
}

Bf16Loops bf16_dot_loops() {
  return {gather_any, add_products_any, "loops, bf16 dot products"};
}

}  // namespace descent
