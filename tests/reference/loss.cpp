// torch.nn.CrossEntropyLoss with class probabilities as targets: row loss = −Σₖ tₖ·log softmax(z)ₖ, and
// whether arg max z = arg max t. What is differentiated is the rows' mean: dz = (softmax(z)·Σt − t)/N.
#include "reference/kernels.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace descent::reference {

namespace {

class SoftmaxCrossEntropyKernel final : public ReferenceKernel {
 public:
  explicit SoftmaxCrossEntropyKernel(const KernelRequest& request) : ReferenceKernel(request) {
    needs_.backward_reads_inputs = true;
  }

  void forward(const StepContext& /*context*/) override {
    for (std::int64_t n = 0; n < in_.n; ++n) {
      const double* z = input(0) + n * in_.c;
      const double* t = input(1) + n * in_.c;
      const double total = log_sum_exp(z);
      double loss = 0;
      for (std::int64_t k = 0; k < in_.c; ++k) loss -= t[k] * (z[k] - total);
      output()[2 * n] = loss;
      output()[2 * n + 1] = std::max_element(z, z + in_.c) - z == std::max_element(t, t + in_.c) - t ? 1 : 0;
    }
  }

  void backward(const StepContext& /*context*/) override {
    if (input_gradient() == nullptr) return;
    for (std::int64_t n = 0; n < in_.n; ++n) {
      const double* z = input(0) + n * in_.c;
      const double* t = input(1) + n * in_.c;
      const double total = log_sum_exp(z);
      const double weight = std::accumulate(t, t + in_.c, 0.0);
      for (std::int64_t k = 0; k < in_.c; ++k)
        input_gradient()[n * in_.c + k] = (std::exp(z[k] - total) * weight - t[k]) / static_cast<double>(in_.n);
    }
  }

 private:
  [[nodiscard]] double log_sum_exp(const double* z) const {
    const double largest = *std::max_element(z, z + in_.c);
    double sum = 0;
    for (std::int64_t k = 0; k < in_.c; ++k) sum += std::exp(z[k] - largest);
    return largest + std::log(sum);
  }
};

}  // namespace

std::unique_ptr<Kernel> make_softmax_cross_entropy(const KernelRequest& request) {
  return std::make_unique<SoftmaxCrossEntropyKernel>(request);
}

}  // namespace descent::reference
