// The gradient of a convolution's weights, however it is computed.
#pragma once

#include "cuda/library/conv_choice.h"

#include <cstddef>
#include <memory>
#include <string>

namespace descent {

class WeightGradient {
 public:
  virtual ~WeightGradient() = default;
  WeightGradient() = default;
  WeightGradient(const WeightGradient&) = delete;
  WeightGradient& operator=(const WeightGradient&) = delete;

  [[nodiscard]] virtual std::string implementation() const = 0;  // "cudnn: eng62…", "own"
  [[nodiscard]] virtual std::size_t scratch_bytes() const = 0;
  // From the convolution's input and its output's gradient to the parameter's gradient, f32 in O×I×H×W.
  virtual void bind(void* x, void* dz, float* dw, void* scratch) = 0;
  // On the context's stream, which the handles work on.
  virtual void run(const CudaContext& context, const LibraryHandles& handles) = 0;
};

// Null if there is none. By rule cuDNN's; where kernels are timed and it may be, descent's own is one more.
[[nodiscard]] std::unique_ptr<WeightGradient> make_weight_gradient(const ConvTools& tools,
                                                                   const ConvGraph::Problem& problem);

}  // namespace descent
