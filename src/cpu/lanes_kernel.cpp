// A convolution's three directions in the layout n16chw as one kernel.
#include "cpu/aligned.h"
#include "cpu/lanes_conv.h"
#include "cpu/loop_kernel.h"

#include <optional>

namespace descent {

namespace {

AlignedBytes floats(std::int64_t count) {
  return AlignedBytes(static_cast<std::size_t>(count) * sizeof(float));
}

class LanesConvKernel final : public LoopKernel {
 public:
  LanesConvKernel(const KernelRequest& request, const CpuContext& context)
      : op_(std::get<Conv>(request.unit.first().op)),
        problem_(op_, request.inputs.front().shape, request.output.shape),
        forward_(LanesGather::forward(problem_)),
        forward_weights_(floats(problem_.weights())),
        context_(context) {
    needs_.inputs = {n16chw};
    needs_.output = n16chw;
    const std::int64_t outputs = problem_.blocks * lanes * problem_.rows.output * problem_.columns.output;
    const double flops = 2.0 * static_cast<double>(problem_.weights()) * static_cast<double>(outputs);
    const auto bytes = static_cast<double>(request.inputs.front().bytes() + request.output.bytes());
    forward_report_ = report(request, "forward", n16chw, flops, bytes);
    if (!trains(request)) return;
    needs_.backward_reads_inputs = true;
    weight_gradient_.emplace(problem_);
    needs_.scratch_bytes = static_cast<std::size_t>(weight_gradient_->scratch()) * sizeof(float);
    backward_report_ = report(request, "backward weights", n16chw, flops, bytes);
    if (!wants_gradient(request)) return;
    input_gradient_.emplace(LanesGather::backward(problem_));
    backward_weights_ = floats(problem_.weights());
    backward_report_ = report(request, "backward weights, data", n16chw, 2 * flops, 2 * bytes);
  }

  void refresh() override {
    const float* const weights = tensor(bound_.parameters, 0);
    forward_.pack(weights, static_cast<float*>(forward_weights_.data()));
    if (input_gradient_) input_gradient_->pack(weights, static_cast<float*>(backward_weights_.data()));
  }

  void forward(const StepContext& /*context*/) override {
    forward_.run(context_, input(), static_cast<const float*>(forward_weights_.data()),
                 op_.bias ? tensor(bound_.parameters, 1) : nullptr, output());
  }

  void backward(const StepContext& /*context*/) override {
    weight_gradient_->run(context_, input(), output_gradient(), static_cast<float*>(bound_.scratch),
                          tensor(bound_.parameter_gradients, 0),
                          op_.bias ? tensor(bound_.parameter_gradients, 1) : nullptr);
    if (!input_gradient_) return;
    input_gradient_->run(context_, output_gradient(), static_cast<const float*>(backward_weights_.data()),
                         nullptr, LoopKernel::input_gradient());
  }

 private:
  Conv op_;
  LanesProblem problem_;
  LanesGather forward_;
  std::optional<LanesGather> input_gradient_;
  std::optional<LanesWeightGradient> weight_gradient_;
  AlignedBytes forward_weights_;
  AlignedBytes backward_weights_;
  CpuContext context_;
};

}  // namespace

std::unique_ptr<Kernel> make_conv_lanes(const KernelRequest& request, const CpuContext& context) {
  return std::make_unique<LanesConvKernel>(request, context);
}

}  // namespace descent
