// The activation on neighbouring numbers of one thread.
#pragma once

#include "plan/relu_rule.h"

#include <cuda_runtime.h>

#include <limits>

namespace descent {

// f(the rule of least arithmetic): a test a call, on which all threads of a launch agree.
template <class Function>
__device__ inline void by_least_rule(const ReluRule& rule, const Function& f) {
  if (rule.leak == 1 && rule.shift == 0 && rule.most == std::numeric_limits<float>::infinity())
    return f(NoActivation{});
  with_least_rule(&rule, f);
}

template <int width>
__device__ inline void activate(const ReluRule& rule, float (&values)[width]) {
  by_least_rule(rule, [&](const auto& least) {
#pragma unroll
    for (int i = 0; i < width; ++i) values[i] = least.value(values[i]);
  });
}

// From dy to dx, where x was activated.
template <int width>
__device__ inline void activation_gradient(const ReluRule& rule, const float (&x)[width],
                                           float (&gradient)[width]) {
  by_least_rule(rule, [&](const auto& least) {
#pragma unroll
    for (int i = 0; i < width; ++i) gradient[i] = least.gradient(x[i], gradient[i]);
  });
}

}  // namespace descent
