// Batch normalisation over the channels of what a convolution gives, for kernels of both.
#pragma once

#include "plan/norm_rule.h"

#include <cstdint>
#include <vector>

namespace descent {

// A unit's tensors of its normalisation, by channel; from the lists of a Binding, where scale and shift stand
// behind the convolution's weights and bias.
struct NormTensors {
  const float* scale;
  const float* shift;
  float* running_mean;
  float* running_variance;

  NormTensors(const std::vector<void*>& parameters, const std::vector<void*>& statistics, bool bias)
      : scale(static_cast<float*>(parameters[bias ? 2 : 1])),
        shift(static_cast<float*>(parameters[bias ? 3 : 2])),
        running_mean(static_cast<float*>(statistics[0])),
        running_variance(static_cast<float*>(statistics[1])) {}
};

struct NormGradients {
  float* scale;
  float* shift;

  NormGradients(const std::vector<void*>& gradients, bool bias)
      : scale(static_cast<float*>(gradients[bias ? 2 : 1])),
        shift(static_cast<float*>(gradients[bias ? 3 : 2])) {}
};

// Moments, and how to normalise, from the sums over `count` values a channel; moves the running statistics.
inline void find_statistics(const BatchNorm& op, const ChannelSums* sums, std::int64_t channels, double count,
                            const NormTensors& tensors, ChannelMoments* moments, ChannelForward* by) {
  for (std::int64_t c = 0; c < channels; ++c) {
    moments[c] = batch_moments(op, sums[c], count, {tensors.running_mean + c, tensors.running_variance + c});
    by[c] = channel_forward(moments[c], tensors.scale[c], tensors.shift[c]);
  }
}

// Gradients of scale and shift, and how to go back, from the gradient's sums.
inline void find_gradients(const ChannelSums* sums, std::int64_t channels, double count,
                           const ChannelMoments* moments, const NormTensors& tensors,
                           const NormGradients& gradients, ChannelBackward* back) {
  for (std::int64_t c = 0; c < channels; ++c) {
    const AffineGradient gradient = affine_gradient(moments[c], sums[c]);
    gradients.scale[c] = static_cast<float>(gradient.scale);
    gradients.shift[c] = static_cast<float>(gradient.shift);
    back[c] = channel_backward(moments[c], gradient, tensors.scale[c], count);
  }
}

}  // namespace descent
