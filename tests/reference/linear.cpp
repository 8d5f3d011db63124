// torch.nn.Linear: y = x·Wᵀ + b, W being out×in. dx = dy·W, dW = dyᵀ·x, db = Σₙ dy.
#include "reference/kernels.h"

#include <algorithm>

namespace descent::reference {

namespace {

class LinearKernel final : public ReferenceKernel {
 public:
  LinearKernel(const KernelRequest& request, const Linear& op) : ReferenceKernel(request), bias_(op.bias) {
    needs_.backward_reads_inputs = true;
  }

  void forward(const StepContext& /*context*/) override {
    for (std::int64_t n = 0; n < in_.n; ++n)
      for (std::int64_t o = 0; o < out_.c; ++o) {
        double sum = bias_ ? parameter(1)[o] : 0;
        for (std::int64_t i = 0; i < in_.c; ++i) sum += input()[n * in_.c + i] * parameter(0)[o * in_.c + i];
        output()[n * out_.c + o] = sum;
      }
  }

  void backward(const StepContext& /*context*/) override {
    const double* dy = output_gradient();
    double* dw = parameter_gradient(0);
    double* dx = input_gradient();
    std::fill_n(dw, out_.c * in_.c, 0.0);
    if (bias_) std::fill_n(parameter_gradient(1), out_.c, 0.0);
    if (dx != nullptr) std::fill_n(dx, in_.elements(), 0.0);
    for (std::int64_t n = 0; n < in_.n; ++n)
      for (std::int64_t o = 0; o < out_.c; ++o) {
        const double g = dy[n * out_.c + o];
        if (bias_) parameter_gradient(1)[o] += g;
        for (std::int64_t i = 0; i < in_.c; ++i) {
          dw[o * in_.c + i] += g * input()[n * in_.c + i];
          if (dx != nullptr) dx[n * in_.c + i] += g * parameter(0)[o * in_.c + i];
        }
      }
  }

 private:
  bool bias_;
};

}  // namespace

std::unique_ptr<Kernel> make_linear(const KernelRequest& request, const Linear& op) {
  return std::make_unique<LinearKernel>(request, op);
}

}  // namespace descent::reference
