// Operations that treat each element alone: GeneralRelu, dropout, add, flatten, and the sum of gradients
// where a value is read more than once.
#include "plan/dropout.h"
#include "reference/kernels.h"

#include <algorithm>

namespace descent::reference {

namespace {

// fast.ai's GeneralRelu: y = min(leaky(x) − sub, maxv). At x = 0 the gradient is the leak's, and at
// y = maxv exactly it still passes, as torch.clamp_max does it.
class GeneralReluKernel final : public ReferenceKernel {
 public:
  GeneralReluKernel(const KernelRequest& request, const GeneralRelu& op) : ReferenceKernel(request), op_(op) {
    needs_.backward_reads_inputs = true;
  }

  void forward(const StepContext& /*context*/) override {
    for (std::size_t i = 0; i < in_.elements(); ++i) {
      const double y = unclamped(input()[i]);
      output()[i] = op_.maxv ? std::min(y, *op_.maxv) : y;
    }
  }

  void backward(const StepContext& /*context*/) override {
    double* dx = input_gradient();
    if (dx == nullptr) return;
    for (std::size_t i = 0; i < in_.elements(); ++i) {
      const bool clamped = op_.maxv && unclamped(input()[i]) > *op_.maxv;
      const double slope = clamped ? 0 : input()[i] > 0 ? 1 : op_.leak;
      dx[i] = slope * output_gradient()[i];
    }
  }

 private:
  [[nodiscard]] double unclamped(double x) const { return (x > 0 ? x : op_.leak * x) - op_.sub; }

  GeneralRelu op_;
};

// Srivastava et al., "Dropout", 2014, in its inverted form, as torch.nn.Dropout and Dropout2d.
class DropoutKernel final : public ReferenceKernel {
 public:
  DropoutKernel(const KernelRequest& request, const Dropout& op)
      : ReferenceKernel(request), op_(op), layer_(request.unit.indices.front()) {}

  void forward(const StepContext& context) override { apply(context, input(), output()); }
  void backward(const StepContext& context) override {
    if (input_gradient() != nullptr) apply(context, output_gradient(), input_gradient());
  }

 private:
  void apply(const StepContext& context, const double* from, double* to) const {
    const RandomKey key = dropout_key(context.seed, context.epoch, layer_);
    const auto per_picture = static_cast<std::uint64_t>(in_.c * in_.area());
    for (std::uint64_t i = 0; i < in_.elements(); ++i) {
      const std::uint64_t picture = context.first_picture + i / per_picture;
      const std::uint64_t element = i % per_picture;
      const auto area = static_cast<std::uint64_t>(in_.area());
      const std::uint64_t position = op_.channels
                                         ? dropout_position(picture, per_picture / area, element / area)
                                         : dropout_position(picture, per_picture, element);
      const bool kept = mode_ == Mode::infer || keeps(key, position, op_.p);
      const double scale = mode_ == Mode::infer ? 1 : 1 / (1 - op_.p);
      to[i] = kept ? scale * from[i] : 0;
    }
  }

  Dropout op_;
  std::size_t layer_;
};

class AddKernel final : public ReferenceKernel {
 public:
  using ReferenceKernel::ReferenceKernel;

  void forward(const StepContext& /*context*/) override {
    for (std::size_t i = 0; i < in_.elements(); ++i) output()[i] = input(0)[i] + input(1)[i];
  }
  void backward(const StepContext& /*context*/) override {
    for (const std::size_t branch : {0U, 1U})
      if (input_gradient(branch) != nullptr)
        std::copy_n(output_gradient(), in_.elements(), input_gradient(branch));
  }
};

class FlattenKernel final : public ReferenceKernel {
 public:
  using ReferenceKernel::ReferenceKernel;

  void forward(const StepContext& /*context*/) override { std::copy_n(input(), in_.elements(), output()); }
  void backward(const StepContext& /*context*/) override {
    if (input_gradient() != nullptr) std::copy_n(output_gradient(), in_.elements(), input_gradient());
  }
};

class GradientSumKernel final : public Kernel {
 public:
  GradientSumKernel(const TensorDesc& desc, std::size_t branches)
      : elements_(static_cast<std::size_t>(desc.shape.elements())) {
    needs_.output = {DType::f64, Layout::plain};
    needs_.inputs.assign(branches, needs_.output);
  }

  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }
  void bind(const Binding& binding) override { binding_ = binding; }
  void forward(const StepContext& /*context*/) override {}
  void backward(const StepContext& /*context*/) override {
    auto* total = static_cast<double*>(binding_.output_gradient);
    for (std::size_t i = 0; i < elements_; ++i) {
      double sum = 0;
      for (const void* branch : binding_.input_gradients) sum += static_cast<const double*>(branch)[i];
      total[i] = sum;
    }
  }
  [[nodiscard]] OperationReport report_forward() const override { return {}; }

 private:
  std::size_t elements_;
  KernelNeeds needs_;
  Binding binding_;
};

}  // namespace

std::unique_ptr<Kernel> make_general_relu(const KernelRequest& request, const GeneralRelu& op) {
  return std::make_unique<GeneralReluKernel>(request, op);
}
std::unique_ptr<Kernel> make_dropout(const KernelRequest& request, const Dropout& op) {
  return std::make_unique<DropoutKernel>(request, op);
}
std::unique_ptr<Kernel> make_add(const KernelRequest& request) {
  return std::make_unique<AddKernel>(request);
}
std::unique_ptr<Kernel> make_flatten(const KernelRequest& request) {
  return std::make_unique<FlattenKernel>(request);
}
std::unique_ptr<Kernel> make_gradient_sum(const TensorDesc& desc, std::size_t branches) {
  return std::make_unique<GradientSumKernel>(desc, branches);
}

}  // namespace descent::reference
