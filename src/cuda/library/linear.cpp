// Linear layers through cuBLASLt, plain rows of f32 on both sides. Bound: arithmetic, 2·N·O·I operations a
// direction.

#include "cuda/library/blas_product.h"
#include "cuda/library/handles.h"
#include "cuda/library/kernels.h"
#include "cuda/library_steps.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace descent {

namespace {

struct LinearShape {
  std::int64_t rows = 1;  // N
  std::int64_t in = 1;
  std::int64_t out = 1;
  bool bias = true;
};

class LinearLibraryKernel final : public Kernel {
 public:
  LinearLibraryKernel(const KernelRequest& request, const LinearShape& shape, const CudaContext& context,
                      const LibraryHandles& handles, BlasProduct forward)
      : context_(context),
        handles_(handles),
        shape_(shape),
        bias_is_zero_(request.mean_is_removed),
        forward_(std::move(forward)) {
    needs_.inputs = {{DType::f32, Layout::plain}};
    needs_.output = {DType::f32, Layout::plain};
    needs_.backward_reads_inputs = true;
    needs_.scratch_bytes = forward_.workspace_bytes();
  }

  void train(BlasProduct backward_weights, std::optional<BlasProduct> backward_data) {
    backward_weights_ = std::move(backward_weights);
    backward_data_ = std::move(backward_data);
    needs_.scratch_bytes = std::max(needs_.scratch_bytes, backward_weights_->workspace_bytes());
    if (backward_data_)
      needs_.scratch_bytes = std::max(needs_.scratch_bytes, backward_data_->workspace_bytes());
    if (shape_.bias && !bias_is_zero_) {
      needs_.scratch_bytes = std::max(needs_.scratch_bytes, channel_total_bytes(shape_.rows, shape_.out));
    }
  }

  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }

  void bind(const Binding& binding) override {
    const auto number = [](void* address) { return static_cast<float*>(address); };
    input_ = number(binding.inputs.front());
    output_ = number(binding.output);
    weights_ = number(binding.parameters[0]);
    if (shape_.bias) bias_ = number(binding.parameters[1]);
    scratch_ = binding.scratch;
    if (!backward_weights_) return;
    output_gradient_ = number(binding.output_gradient);
    weights_gradient_ = number(binding.parameter_gradients[0]);
    if (shape_.bias) bias_gradient_ = number(binding.parameter_gradients[1]);
    if (backward_data_) input_gradient_ = number(binding.input_gradients.front());
  }

  void forward(const StepContext& /*context*/) override {
    forward_.run(handles_, context_, weights_, input_, output_, bias_, scratch_);
  }

  void backward(const StepContext& /*context*/) override {
    backward_weights_->run(handles_, context_, input_, output_gradient_, weights_gradient_, nullptr, scratch_);
    if (backward_data_) {
      backward_data_->run(handles_, context_, weights_, output_gradient_, input_gradient_, nullptr, scratch_);
    }
    if (!shape_.bias) return;
    if (bias_is_zero_) {
      clear(context_, bias_gradient_, shape_.out);
    } else {
      channel_totals(context_, DType::f32, output_gradient_, shape_.rows, shape_.out, bias_gradient_, scratch_);
    }
  }

  [[nodiscard]] OperationReport report_forward() const override {
    return report("linear forward", forward_.algorithm(), 1);
  }
  [[nodiscard]] OperationReport report_backward() const override {
    std::string how = backward_weights_->algorithm();
    if (backward_data_) how += ", " + backward_data_->algorithm();
    return report("linear backward", std::move(how), backward_data_ ? 2 : 1);
  }

 private:
  [[nodiscard]] OperationReport report(std::string operation, std::string implementation,
                                       int directions) const {
    OperationReport report;
    report.operation = std::move(operation);
    report.implementation = std::move(implementation);
    report.layout = "nc";
    report.flops =
        2.0 * directions * static_cast<double>(shape_.rows) * static_cast<double>(shape_.in * shape_.out);
    report.bytes =
        4.0 * directions * static_cast<double>(shape_.rows * (shape_.in + shape_.out) + shape_.in * shape_.out);
    return report;
  }

  CudaContext context_;
  const LibraryHandles& handles_;
  LinearShape shape_;
  bool bias_is_zero_;
  KernelNeeds needs_;
  BlasProduct forward_;
  std::optional<BlasProduct> backward_weights_;
  std::optional<BlasProduct> backward_data_;
  float* input_ = nullptr;
  float* output_ = nullptr;
  float* weights_ = nullptr;
  float* bias_ = nullptr;
  void* scratch_ = nullptr;
  float* output_gradient_ = nullptr;
  float* weights_gradient_ = nullptr;
  float* bias_gradient_ = nullptr;
  float* input_gradient_ = nullptr;
};

}  // namespace

// In rows, y = x·Wᵀ + b, dW = dyᵀ·x and dx = dy·W; in cuBLASLt's columns every matrix is its transpose:
// y' = op(W')·x' with W' I×O transposed, dW' = x'·dy'ᵀ and dx' = W'·dy'.
std::unique_ptr<Kernel> make_linear_library(const KernelRequest& request, const CudaContext& context,
                                            const LibraryHandles& handles) {
  if (request.unit.layers.size() != 1 || request.output.type != DType::f32) return nullptr;
  const auto& op = std::get<Linear>(request.unit.first().op);
  const LinearShape shape{request.inputs.front().shape[0], request.inputs.front().shape[1], op.out, op.bias};
  auto forward = BlasProduct::make(
      handles, context,
      {.m = shape.out, .n = shape.rows, .k = shape.in, .transpose_a = true, .bias = shape.bias});
  if (!forward) return nullptr;
  auto kernel = std::make_unique<LinearLibraryKernel>(request, shape, context, handles, std::move(*forward));
  if (request.plan.mode != Mode::train) return kernel;
  auto weights = BlasProduct::make(handles, context,
                                   {.m = shape.in, .n = shape.out, .k = shape.rows, .transpose_b = true});
  if (!weights) return nullptr;
  std::optional<BlasProduct> data;
  if (request.input_gradients.front()) {
    data = BlasProduct::make(handles, context, {.m = shape.in, .n = shape.rows, .k = shape.out});
    if (!data) return nullptr;
  }
  kernel->train(std::move(*weights), std::move(data));
  return kernel;
}

}  // namespace descent
