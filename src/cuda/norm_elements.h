// A normalisation with its activation on neighbouring channels of one cell; for all passes that do it on the
// way.
#pragma once

#include "cuda/activation.h"
#include "plan/norm_rule.h"

namespace descent {

// From z to y.
template <int width>
__device__ inline void normalise_and_activate(const ChannelForward (&by)[width], const ReluRule& activation,
                                              float (&values)[width]) {
#pragma unroll
  for (int i = 0; i < width; ++i) values[i] = normalised(by[i], values[i]);
  activate(activation, values);
}

// From dy to g, the gradient before the activation.
template <int width>
__device__ inline void gradient_before_activation(const ChannelForward (&by)[width], const ReluRule& activation,
                                                  const float (&z)[width], float (&gradient)[width]) {
  float normal[width];
#pragma unroll
  for (int i = 0; i < width; ++i) normal[i] = normalised(by[i], z[i]);
  activation_gradient(activation, normal, gradient);
}

// From dy to dz.
template <int width>
__device__ inline void gradient_before_norm(const ChannelForward (&by)[width],
                                            const ChannelBackward (&back)[width], const ReluRule& activation,
                                            const float (&z)[width], float (&gradient)[width]) {
  gradient_before_activation(by, activation, z, gradient);
#pragma unroll
  for (int i = 0; i < width; ++i) gradient[i] = norm_gradient(by[i], back[i], z[i], gradient[i]);
}

}  // namespace descent
