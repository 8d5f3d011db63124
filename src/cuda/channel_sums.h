// Sums a channel over the batch, with the same bits run after run: every block sums the same rows in the same
// order and writes one part; whichever block comes last adds the parts up in their order and goes on from
// there, which saves a launch. Sums are in double, so that the variance may come from Σx and Σx² in one pass.
#pragma once

#include "cuda/norm_elements.h"
#include "cuda/norm_ends.h"

#include <cuda_runtime.h>

namespace descent {

// True in all threads of the last of `blocks` blocks that come here; what the others wrote before is then seen.
// The counter is zero before the first and after the last.
__device__ inline bool is_last_block(unsigned* counter, unsigned blocks) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(counter, 1U) + 1 == blocks;
    if (last) *counter = 0;
  }
  __syncthreads();
  const bool found = last;
  __threadfence();
  return found;
}

// Adds up each of `count` sums, a power of two, over the lanes of a warp that are multiples of `lanes`, a power
// of two, apart. A lane gives half of its sums away for the other half, as long as it has several: `count` or a
// few more exchanges where butterflies would take that many for each step. sums[0] to sums[left − 1] are then
// those from number `first` on.
template <int count>
struct ScatteredSums {
  static_assert((count & (count - 1)) == 0);
  int first = 0;
  int left = count;
  bool owns = true;  // one of the lanes that end with the same sums

  __device__ ScatteredSums(double (&sums)[count], int lanes) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int step = 0; step < 5; ++step) {
      const int apart = 16 >> step;
      if (apart < lanes) continue;
      const bool upper = (lane & apart) != 0;
      const int half = count >> (step + 1);
#pragma unroll
      for (int i = 0; i < half; ++i) {
        const double given = upper ? sums[i] : sums[half + i];
        const double kept = upper ? sums[half + i] : sums[i];
        sums[i] = kept + __shfl_xor_sync(0xffffffffU, given, apart);
      }
      if (half > 0) {
        first += upper ? half : 0;
        left = half;
      } else {
        sums[0] += __shfl_xor_sync(0xffffffffU, sums[0], apart);
        owns = owns && !upper;
      }
    }
  }
};

// The first `threads` threads, whole warps, stand in rows of `lanes` (a power of two, at most 32), each with
// sums of `width` channels. Adds up their rows: thread i gets Σ first of channel i, and thread channels + i its
// Σ second, channels being lanes · width. For all threads of a block, of which there are two a channel at
// least. `space`: 2 · width doubles a lane and warp.
template <int width>
__device__ inline double block_totals(const double (&first)[width], const double (&second)[width], int lanes,
                                      int threads, double* space) {
  const int thread = static_cast<int>(threadIdx.x);
  const int channels = lanes * width;
  if (thread < threads) {
    double sums[2 * width];
#pragma unroll
    for (int i = 0; i < width; ++i) {
      sums[i] = first[i];
      sums[width + i] = second[i];
    }
    const ScatteredSums<2 * width> found(sums, lanes);
    double* const own = space + thread / 32 * 2 * channels + thread % lanes * width;
#pragma unroll
    for (int i = 0; i < 2 * width; ++i) {
      if (i >= found.left || !found.owns) continue;
      const int number = found.first + i;
      own[number < width ? number : channels + number - width] = sums[i];
    }
  }
  __syncthreads();
  double total = 0;
  for (int warp = 0; thread < 2 * channels && warp < threads / 32; ++warp)
    total += space[warp * 2 * channels + thread];
  __syncthreads();
  return total;
}

// The sums of channel first + thread over all parts, in threads below `count` (≤ blockDim.x).
// `space`: two doubles a thread.
__device__ inline ChannelSums total_of_parts(const ChannelSums* partial, int parts, int channels, int first,
                                             int count, double* space) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lanes = static_cast<int>(blockDim.x) / count;
  const int lane = thread / count;
  const int channel = first + thread % count;
  ChannelSums sums;
  // Many loads on their way at once: a block alone waits for each of them.
  constexpr int batch = 16;
  for (int begin = lane; lane < lanes && begin < parts; begin += batch * lanes) {
    double first_terms[batch];
    double second_terms[batch];
#pragma unroll
    for (int i = 0; i < batch; ++i) {
      const int part = begin + i * lanes;
      const ChannelSums* const from = partial + part * channels + channel;
      first_terms[i] = part < parts ? from->first : 0;
      second_terms[i] = part < parts ? from->second : 0;
    }
#pragma unroll
    for (int i = 0; i < batch; ++i) {
      sums.first += first_terms[i];
      sums.second += second_terms[i];
    }
  }
  __syncthreads();
  space[2 * thread] = sums.first;
  space[2 * thread + 1] = sums.second;
  __syncthreads();
  ChannelSums total;
  for (int i = 0; thread < count && i < lanes; ++i) {
    total.first += space[2 * (i * count + thread)];
    total.second += space[2 * (i * count + thread) + 1];
  }
  return total;
}

// Adds values, and their squares, of neighbouring channels to their sums.
template <int width>
__device__ inline void add_squares(const float (&values)[width], double (&first)[width],
                                   double (&second)[width]) {
#pragma unroll
  for (int i = 0; i < width; ++i) {
    const auto value = static_cast<double>(values[i]);
    first[i] += value;
    second[i] += value * value;
  }
}

// Adds g, g·z of neighbouring channels of a normalisation to their sums; g is the gradient of its output
// through the activation behind it.
template <int width>
__device__ inline void add_gradient_terms(const ReluRule& activation, const ChannelForward (&by)[width],
                                          const float (&z)[width], const float (&dy)[width],
                                          double (&first)[width], double (&second)[width]) {
  float gradients[width];
#pragma unroll
  for (int i = 0; i < width; ++i) gradients[i] = dy[i];
  gradient_before_activation(by, activation, z, gradients);
#pragma unroll
  for (int i = 0; i < width; ++i) {
    const auto g = static_cast<double>(gradients[i]);
    first[i] += g;
    second[i] += g * static_cast<double>(z[i]);
  }
}

// The end of a pass: `total` is what block_totals() gave for `width` channels from `first_channel` on, of which
// those below `end_channel` exist and belong to this block's counter. `space`: two doubles a thread.
template <class Finish>
__device__ inline void finish_sums(double total, int width, int first_channel, int end_channel, int channels,
                                   int part, int parts, unsigned* counter, const PartialSums& sums,
                                   const Finish& finish, double* space) {
  const int thread = static_cast<int>(threadIdx.x);
  const int channel = first_channel + (thread < width ? thread : thread - width);
  if (thread < 2 * width && channel < end_channel) {
    ChannelSums& to = sums.partial[part * channels + channel];
    (thread < width ? to.first : to.second) = total;
  }
  if (!is_last_block(counter, static_cast<unsigned>(parts))) return;
  const int count = end_channel - first_channel;
  const ChannelSums found = total_of_parts(sums.partial, parts, channels, first_channel, count, space);
  if (thread < count) finish.finish(first_channel + thread, found);
}

}  // namespace descent
