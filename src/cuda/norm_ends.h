// What becomes of a normalisation's sums. No code that nvcc alone compiles: the library's kernels hand it over.
#pragma once

#include "plan/norm_rule.h"

#include <cuda_runtime.h>

namespace descent {

// Of a sum over the batch, each by a block.
inline constexpr int most_parts = 512;

// Where a pass that takes sums leaves them: parts of all blocks, and a counter for each tile of channels.
struct PartialSums {
  ChannelSums* partial = nullptr;  // parts × channels
  unsigned* counters = nullptr;
};

// From Σx, Σx² of a channel to what normalises it.
struct NormStatistics {
  BatchNorm op;
  double count = 1;
  const float* scale = nullptr;
  const float* shift = nullptr;
  float* running_mean = nullptr;
  float* running_variance = nullptr;
  ChannelMoments* moments = nullptr;
  ChannelForward* by = nullptr;

  __device__ void finish(int channel, const ChannelSums& sums) const {
    const ChannelMoments found =
        batch_moments(op, sums, count, {running_mean + channel, running_variance + channel});
    moments[channel] = found;
    by[channel] = channel_forward(found, scale[channel], shift[channel]);
  }
};

// From Σdy, Σdy·x of a channel to the gradients of scale and shift, and to what makes the input's.
struct NormGradients {
  double count = 1;
  const float* scale = nullptr;
  const ChannelMoments* moments = nullptr;
  float* scale_gradient = nullptr;
  float* shift_gradient = nullptr;
  ChannelBackward* back = nullptr;

  __device__ void finish(int channel, const ChannelSums& sums) const {
    const AffineGradient gradient = affine_gradient(moments[channel], sums);
    if (scale_gradient != nullptr) scale_gradient[channel] = static_cast<float>(gradient.scale);
    if (shift_gradient != nullptr) shift_gradient[channel] = static_cast<float>(gradient.shift);
    back[channel] = channel_backward(moments[channel], gradient, scale[channel], count);
  }
};

}  // namespace descent
