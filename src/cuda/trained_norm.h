// Training: batch normalisation and activation behind a convolution of the library's, by descent's own passes.
#pragma once

#include "cuda/context.h"
#include "cuda/neighbours.h"
#include "descent/ops.h"
#include "plan/kernel.h"
#include "plan/space.h"

#include <cstddef>
#include <memory>
#include <optional>

namespace descent {

class TrainedNorm : public NormWriter {
 public:
  TrainedNorm() = default;
  TrainedNorm(const TrainedNorm&) = delete;
  TrainedNorm& operator=(const TrainedNorm&) = delete;

  // The norm's parameters stand in the unit's lists from `first_parameter` on.
  virtual void bind(const Binding& binding, std::size_t first_parameter) = 0;
  [[nodiscard]] virtual void* inner() const = 0;           // where the convolution writes
  [[nodiscard]] virtual void* inner_gradient() const = 0;  // where its gradient is after backward()
  virtual void forward() const = 0;
  virtual void backward() const = 0;
  virtual void complete(void* output) const = 0;  // Kernel::complete()
};

// `output` is the unit's; what it needs takes its places in `saved` and `scratch`, the inner gradient in
// `trailing`.
[[nodiscard]] std::unique_ptr<TrainedNorm> make_trained_norm(const CudaContext& context, const BatchNorm& op,
                                                             const std::optional<GeneralRelu>& activation,
                                                             const TensorDesc& output, Space& saved,
                                                             Space& scratch, Space& trailing);

}  // namespace descent
