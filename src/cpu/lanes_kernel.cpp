// A convolution's three directions with pictures innermost as one kernel.
#include "cpu/lanes_conv.h"
#include "cpu/loop_kernel.h"
#include "cpu/packed_weights.h"

#include <optional>

namespace descent {

namespace {

template <class Element>
class LanesConvKernel final : public LoopKernel {
 public:
  LanesConvKernel(const KernelRequest& request, const CpuContext& context)
      : op_(std::get<Conv>(request.unit.first().op)),
        problem_(op_, request.inputs.front().shape, request.output.shape, Kind::pictures),
        forward_(Gather::forward(problem_)),
        forward_weights_(forward_),
        context_(context) {
    needs_.output = Kind::format;
    needs_.inputs = {needs_.output};
    const std::int64_t outputs =
        problem_.blocks * Kind::pictures * problem_.rows.output * problem_.columns.output;
    const double flops = 2.0 * static_cast<double>(problem_.weights()) * static_cast<double>(outputs);
    const auto bytes = static_cast<double>(request.inputs.front().bytes() + request.output.bytes());
    forward_report_ = report(request, "forward", Kind::format.layout, flops, bytes);
    if (!trains(request)) return;
    needs_.backward_reads_inputs = true;
    needs_.gradient_over_input = true;
    weight_gradient_.emplace(problem_, op_.bias && !request.mean_is_removed);
    needs_.scratch_bytes = static_cast<std::size_t>(weight_gradient_->scratch()) * sizeof(float);
    backward_report_ = report(request, "backward weights", Kind::format.layout, flops, bytes);
    if (!wants_gradient(request)) return;
    input_gradient_.emplace(Gather::backward(problem_));
    backward_weights_ = PackedWeights<Element>(*input_gradient_);
    backward_report_ = report(request, "backward weights, data", Kind::format.layout, 2 * flops, 2 * bytes);
  }

  void refresh() override {
    const float* const weights = tensor(bound_.parameters, 0);
    forward_weights_.pack(forward_, weights);
    if (input_gradient_) backward_weights_.pack(*input_gradient_, weights);
  }

  void forward(const StepContext& /*context*/) override {
    forward_.run(context_, input<Element>(), forward_weights_.data(),
                 op_.bias ? tensor(bound_.parameters, 1) : nullptr, output<Element>());
  }

  void backward(const StepContext& /*context*/) override {
    weight_gradient_->run(context_, input<Element>(), output_gradient<Element>(),
                          static_cast<float*>(bound_.scratch), tensor(bound_.parameter_gradients, 0),
                          op_.bias ? tensor(bound_.parameter_gradients, 1) : nullptr);
    if (!input_gradient_) return;
    input_gradient_->run(context_, output_gradient<Element>(), backward_weights_.data(), nullptr,
                         input_gradient<Element>());
  }

 private:
  using Kind = LanesElement<Element>;
  using Gather = LanesGather<Element>;

  Conv op_;
  LanesProblem problem_;
  Gather forward_;
  std::optional<Gather> input_gradient_;
  std::optional<LanesWeightGradient<Element>> weight_gradient_;
  PackedWeights<Element> forward_weights_;
  PackedWeights<Element> backward_weights_;
  CpuContext context_;
};

}  // namespace

std::unique_ptr<Kernel> make_conv_lanes(const KernelRequest& request, const CpuContext& context) {
  if (request.output.type == DType::bf16) return std::make_unique<LanesConvKernel<Bf16>>(request, context);
  return std::make_unique<LanesConvKernel<float>>(request, context);
}

}  // namespace descent
