// Batch normalisation as a unit of its own, with or without the activation behind it: norm_passes.cu.
#include "cuda/cuda_kernel.h"
#include "cuda/norm_state.h"

namespace descent {

namespace {

template <class Element>
class BatchNormKernel final : public CudaKernel {
 public:
  BatchNormKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : CudaKernel(context), op_(std::get<BatchNorm>(request.unit.first().op)), trains_(trains(request)) {
    const Shape& shape = request.output.shape;
    shape_ = {shape.elements() / shape[1], static_cast<int>(shape[1])};
    if (request.unit.layers.size() > 1) activation_ = ReluRule(std::get<GeneralRelu>(request.unit.last().op));
    needs_.output = {request.output.type, layout};
    needs_.inputs = {needs_.output};
    const auto elements = static_cast<double>(shape.elements());
    const auto bytes = static_cast<double>(request.output.bytes());
    const std::string after = request.unit.layers.size() > 1 ? ", activation" : "";
    if (!trains_) {
      needs_.output_is_input = request.input_is_free;
      forward_report_ = report(request, "forward" + after, layout, 3 * elements, 2 * bytes);
      return;
    }
    Space saved;
    state_ = NormState(context, op_, shape_, 0, saved);
    needs_.saved_bytes = saved.bytes();
    needs_.scratch_bytes = shape_.partial_bytes();
    needs_.backward_reads_inputs = true;
    forward_report_ = report(request, "forward" + after, layout, 6 * elements, 3 * bytes);
    backward_report_ = report(request, "backward" + after, layout, 8 * elements, 5 * bytes);
  }

  void forward(const StepContext& /*context*/) override {
    const Element* const x = input<Element>();
    if (!trains_) {
      NormStatistics running;
      running.op = op_;
      running.scale = tensor(bound_.parameters, 0);
      running.shift = tensor(bound_.parameters, 1);
      running.running_mean = tensor(bound_.statistics, 0);
      running.running_variance = tensor(bound_.statistics, 1);
      return normalise_by_running(context_, shape_, x, running, activation_, output<Element>());
    }
    norm_sums(context_, shape_, x, state_.sums(bound_.scratch), state_.statistics(bound_));
    normalise(context_, shape_, x, state_.by(bound_), activation_, output<Element>());
  }

  void backward(const StepContext& /*context*/) override {
    const NormGradients gradients = state_.gradients(bound_);
    const ChannelForward* const by = state_.by(bound_);
    const Element* const x = input<Element>();
    const Element* const dy = output_gradient<Element>();
    norm_gradient_sums(context_, shape_, x, dy, by, activation_, state_.sums(bound_.scratch), gradients);
    if (input_gradient<Element>() == nullptr) return;
    norm_input_gradient(context_, shape_, x, dy, by, gradients.back, activation_, input_gradient<Element>());
  }

 private:
  BatchNorm op_;
  bool trains_;
  NormRows shape_;
  ReluRule activation_{no_activation};
  NormState state_;  // in training
};

}  // namespace

std::unique_ptr<Kernel> make_cuda_kernel(const BatchNorm& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<BatchNormKernel<Element>>(request, layout, context);
  });
}

}  // namespace descent
