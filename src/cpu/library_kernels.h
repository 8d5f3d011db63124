// Kernels through oneDNN.
#pragma once

#include "cpu/context.h"
#include "cpu/conv_part.h"
#include "cpu/onednn.h"
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

// Nothing if the library has only reference code for this layout.
[[nodiscard]] std::unique_ptr<Kernel> make_batch_norm(const KernelRequest& request, Layout layout,
                                                      const Onednn& onednn);

[[nodiscard]] std::unique_ptr<Kernel> make_linear(const KernelRequest& request, const Onednn& onednn);

// Between the formats that our own loops know, by those.
[[nodiscard]] std::unique_ptr<Kernel> make_reorder(const TensorDesc& from, Format to, bool gradient,
                                                   const Onednn& onednn, const CpuContext& context);

}  // namespace descent
