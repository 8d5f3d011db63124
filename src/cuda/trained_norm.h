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

  virtual void bind(const Binding& binding) = 0;
  [[nodiscard]] virtual void* inner() const = 0;           // where the convolution writes
  [[nodiscard]] virtual void* inner_gradient() const = 0;  // where its gradient is after backward()
  virtual void forward() const = 0;
  virtual void backward() const = 0;
  virtual void complete(void* output) const = 0;  // Kernel::complete()
};

struct TrainedNormRequest {
  BatchNorm op;
  std::optional<GeneralRelu> activation;
  TensorDesc output;                // the unit's
  std::size_t first_parameter = 1;  // where the norm's stand in the unit's lists
};

// What it needs takes its places in `saved` and `scratch`, the inner gradient in `trailing`.
[[nodiscard]] std::unique_ptr<TrainedNorm> make_trained_norm(const CudaContext& context,
                                                             const TrainedNormRequest& request, Space& saved,
                                                             Space& scratch, Space& trailing);

}  // namespace descent
