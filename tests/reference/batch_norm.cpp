// Ioffe & Szegedy, "Batch normalization", 2015, as torch.nn.BatchNorm2d/1d. With m values a channel:
//   train: μ = Σx/m, v = Σ(x−μ)²/m;  running μ ← (1−k)·running μ + k·μ, running v likewise with v·m/(m−1);
//   infer: μ, v are the running ones.      x̂ = (x − μ)/√(v + eps),  y = γ·x̂ + β.
//   dβ = Σdy, dγ = Σ dy·x̂, dx = γ/(m·√(v + eps)) · (m·dy − dβ − x̂·dγ).
#include "reference/kernels.h"

#include <cmath>

namespace descent::reference {

namespace {

class BatchNormKernel final : public ReferenceKernel {
 public:
  BatchNormKernel(const KernelRequest& request, const BatchNorm& op) : ReferenceKernel(request), op_(op) {
    needs_.backward_reads_inputs = true;
  }

  void forward(const StepContext& /*context*/) override {
    for (std::int64_t c = 0; c < in_.c; ++c) {
      double mean = statistic(0)[c];
      double variance = statistic(1)[c];
      if (mode_ == Mode::train) {
        batch_statistics(c, mean, variance);
        const double unbiased = variance * count() / (count() - 1);
        statistic(0)[c] = (1 - op_.momentum) * statistic(0)[c] + op_.momentum * mean;
        statistic(1)[c] = (1 - op_.momentum) * statistic(1)[c] + op_.momentum * unbiased;
      }
      const double deviation = std::sqrt(variance + op_.eps);
      for_each_of(c, [&](std::size_t i) {
        output()[i] = parameter(0)[c] * (input()[i] - mean) / deviation + parameter(1)[c];
      });
    }
  }

  void backward(const StepContext& /*context*/) override {
    for (std::int64_t c = 0; c < in_.c; ++c) {
      double mean = 0;
      double variance = 0;
      batch_statistics(c, mean, variance);
      const double deviation = std::sqrt(variance + op_.eps);
      double sum = 0;          // Σ dy
      double correlation = 0;  // Σ dy·x̂
      for_each_of(c, [&](std::size_t i) {
        sum += output_gradient()[i];
        correlation += output_gradient()[i] * (input()[i] - mean) / deviation;
      });
      parameter_gradient(0)[c] = correlation;
      parameter_gradient(1)[c] = sum;
      double* dx = input_gradient();
      if (dx == nullptr) continue;
      for_each_of(c, [&](std::size_t i) {
        const double normalised = (input()[i] - mean) / deviation;
        dx[i] = parameter(0)[c] / (count() * deviation) *
                (count() * output_gradient()[i] - sum - normalised * correlation);
      });
    }
  }

 private:
  [[nodiscard]] double count() const { return static_cast<double>(in_.n * in_.area()); }

  template <class Visit>
  void for_each_of(std::int64_t channel, Visit visit) const {
    for (std::int64_t n = 0; n < in_.n; ++n)
      for (std::int64_t y = 0; y < in_.h; ++y)
        for (std::int64_t x = 0; x < in_.w; ++x) visit(in_.at(n, channel, y, x));
  }

  void batch_statistics(std::int64_t channel, double& mean, double& variance) const {
    mean = 0;
    for_each_of(channel, [&](std::size_t i) { mean += input()[i]; });
    mean /= count();
    variance = 0;
    for_each_of(channel, [&](std::size_t i) { variance += (input()[i] - mean) * (input()[i] - mean); });
    variance /= count();
  }

  BatchNorm op_;
};

}  // namespace

std::unique_ptr<Kernel> make_batch_norm(const KernelRequest& request, const BatchNorm& op) {
  return std::make_unique<BatchNormKernel>(request, op);
}

}  // namespace descent::reference
