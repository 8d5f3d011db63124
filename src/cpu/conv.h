// A convolution as a kernel: each direction by a part (cpu/conv_part.h).
#pragma once

#include "cpu/conv_part.h"
#include "plan/kernel.h"

#include <memory>

namespace descent {

[[nodiscard]] ConvProblem conv_problem(const KernelRequest& request);

// How each direction of a convolution is computed; the backward ones count only in training.
struct ConvChoices {
  ConvChoice forward;
  ConvChoice backward_data;
  ConvChoice backward_weights;

  [[nodiscard]] ConvChoice& of(Direction direction) {
    if (direction == Direction::forward) return forward;
    return direction == Direction::backward_data ? backward_data : backward_weights;
  }
};

[[nodiscard]] std::unique_ptr<Kernel> make_conv(const KernelRequest& request, Layout source, Layout destination,
                                                const ConvChoices& choices, const ConvTools& tools);

}  // namespace descent
