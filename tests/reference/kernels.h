// The reference's kernels: one layer each, forward and backward straight from the formula.
#pragma once

#include "plan/kernel.h"

#include <memory>
#include <string>

namespace descent::reference {

// N×C×H×W; N×C has H = W = 1.
struct Sizes {
  std::int64_t n = 1, c = 1, h = 1, w = 1;

  explicit Sizes(const Shape& shape);
  [[nodiscard]] std::size_t at(std::int64_t in, std::int64_t ic, std::int64_t ih, std::int64_t iw) const {
    return static_cast<std::size_t>(((in * c + ic) * h + ih) * w + iw);
  }
  [[nodiscard]] std::size_t elements() const { return static_cast<std::size_t>(n * c * h * w); }
  [[nodiscard]] std::int64_t area() const { return h * w; }
};

// What all kernels share: the shapes, and typed access to what was bound.
class ReferenceKernel : public Kernel {
 public:
  explicit ReferenceKernel(const KernelRequest& request);

  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }
  void bind(const Binding& binding) override { binding_ = binding; }
  [[nodiscard]] OperationReport report_forward() const override { return report("forward"); }
  [[nodiscard]] OperationReport report_backward() const override { return report("backward"); }

 protected:
  [[nodiscard]] const double* input(std::size_t i = 0) const { return as_double(binding_.inputs.at(i)); }
  [[nodiscard]] double* output() const { return as_double(binding_.output); }
  [[nodiscard]] double* input_gradient(std::size_t i = 0) const {  // null: not wanted
    return as_double(binding_.input_gradients.at(i));
  }
  [[nodiscard]] const double* output_gradient() const { return as_double(binding_.output_gradient); }
  [[nodiscard]] double* parameter(std::size_t i) const { return as_double(binding_.parameters.at(i)); }
  [[nodiscard]] double* parameter_gradient(std::size_t i) const {
    return as_double(binding_.parameter_gradients.at(i));
  }
  [[nodiscard]] double* statistic(std::size_t i) const { return as_double(binding_.statistics.at(i)); }

  KernelNeeds needs_;
  Mode mode_;
  Sizes in_;  // of the first input
  Sizes out_;

 private:
  static double* as_double(void* address) { return static_cast<double*>(address); }
  [[nodiscard]] OperationReport report(const char* direction) const;

  Binding binding_;
  std::string operation_;
};

[[nodiscard]] std::unique_ptr<Kernel> make_conv(const KernelRequest& request, const Conv& op);
[[nodiscard]] std::unique_ptr<Kernel> make_linear(const KernelRequest& request, const Linear& op);
[[nodiscard]] std::unique_ptr<Kernel> make_batch_norm(const KernelRequest& request, const BatchNorm& op);
[[nodiscard]] std::unique_ptr<Kernel> make_general_relu(const KernelRequest& request, const GeneralRelu& op);
[[nodiscard]] std::unique_ptr<Kernel> make_dropout(const KernelRequest& request, const Dropout& op);
[[nodiscard]] std::unique_ptr<Kernel> make_avg_pool(const KernelRequest& request, const AvgPool& op);
[[nodiscard]] std::unique_ptr<Kernel> make_max_pool(const KernelRequest& request, const MaxPool& op);
[[nodiscard]] std::unique_ptr<Kernel> make_global_avg_pool(const KernelRequest& request);
[[nodiscard]] std::unique_ptr<Kernel> make_add(const KernelRequest& request);
[[nodiscard]] std::unique_ptr<Kernel> make_flatten(const KernelRequest& request);
[[nodiscard]] std::unique_ptr<Kernel> make_softmax_cross_entropy(const KernelRequest& request);
[[nodiscard]] std::unique_ptr<Kernel> make_gradient_sum(const TensorDesc& desc, std::size_t branches);

}  // namespace descent::reference
