// Batch normalisation over the channels of what a convolution gives, for kernels of both.
#pragma once

#include "plan/norm_rule.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace descent {

// A unit's tensors of its normalisation, by channel.
struct NormTensors {
  const float* scale = nullptr;
  const float* shift = nullptr;
  float* scale_gradient = nullptr;
  float* shift_gradient = nullptr;
  float* running_mean = nullptr;
  float* running_variance = nullptr;

  // From a binding's lists, where scale and shift stand behind the convolution's weights and bias.
  static NormTensors of(const std::vector<void*>& parameters, const std::vector<void*>& gradients,
                        const std::vector<void*>& statistics, bool bias) {
    const std::size_t first = bias ? 2 : 1;
    const auto at = [](const std::vector<void*>& list, std::size_t i) {
      return i < list.size() ? static_cast<float*>(list[i]) : nullptr;
    };
    return {at(parameters, first),    at(parameters, first + 1), at(gradients, first),
            at(gradients, first + 1), at(statistics, 0),         at(statistics, 1)};
  }
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
                           const ChannelMoments* moments, const NormTensors& tensors, ChannelBackward* back) {
  for (std::int64_t c = 0; c < channels; ++c) {
    const AffineGradient gradient = affine_gradient(moments[c], sums[c]);
    tensors.scale_gradient[c] = static_cast<float>(gradient.scale);
    tensors.shift_gradient[c] = static_cast<float>(gradient.shift);
    back[c] = channel_backward(moments[c], gradient, tensors.scale[c], count);
  }
}

}  // namespace descent
