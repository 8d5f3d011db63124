// Batch normalisation as a unit of its own, with or without the activation behind it: norm_passes.cu.
#include "cuda/counters.h"
#include "cuda/cuda_kernel.h"
#include "cuda/norm_passes.h"
#include "plan/space.h"

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
    const auto channels = static_cast<std::size_t>(shape_.channels);
    Space saved;
    moments_at_ = saved.take(channels * sizeof(ChannelMoments));
    by_at_ = saved.take(channels * sizeof(ChannelForward));
    needs_.saved_bytes = saved.bytes();
    Space scratch;
    partial_at_ = scratch.take(shape_.partial_bytes());
    back_at_ = scratch.take(channels * sizeof(ChannelBackward));
    needs_.scratch_bytes = scratch.bytes();
    needs_.backward_reads_inputs = true;
    counters_ = Counters(context, shape_.counter_bytes());
    forward_report_ = report(request, "forward" + after, layout, 6 * elements, 3 * bytes);
    backward_report_ = report(request, "backward" + after, layout, 8 * elements, 5 * bytes);
  }

  void forward(const StepContext& /*context*/) override {
    const NormStatistics statistics{op_,
                                    static_cast<double>(shape_.rows),
                                    tensor(bound_.parameters, 0),
                                    tensor(bound_.parameters, 1),
                                    tensor(bound_.statistics, 0),
                                    tensor(bound_.statistics, 1),
                                    saved<ChannelMoments>(moments_at_),
                                    saved<ChannelForward>(by_at_)};
    const Element* const x = input<Element>();
    if (!trains_) return normalise_by_running(context_, shape_, x, statistics, activation_, output<Element>());
    norm_sums(context_, shape_, x, sums(), statistics);
    normalise(context_, shape_, x, statistics.by, activation_, output<Element>());
  }

  void backward(const StepContext& /*context*/) override {
    const NormGradients gradients{static_cast<double>(shape_.rows),      tensor(bound_.parameters, 0),
                                  saved<ChannelMoments>(moments_at_),    tensor(bound_.parameter_gradients, 0),
                                  tensor(bound_.parameter_gradients, 1), scratch<ChannelBackward>(back_at_)};
    const ChannelForward* const by = saved<ChannelForward>(by_at_);
    const Element* const x = input<Element>();
    const Element* const dy = output_gradient<Element>();
    norm_gradient_sums(context_, shape_, x, dy, by, activation_, sums(), gradients);
    if (input_gradient<Element>() == nullptr) return;
    norm_input_gradient(context_, shape_, x, dy, by, gradients.back, activation_, input_gradient<Element>());
  }

 private:
  template <class T>
  [[nodiscard]] T* saved(std::size_t at) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.saved) + at);
  }
  template <class T>
  [[nodiscard]] T* scratch(std::size_t at) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.scratch) + at);
  }
  [[nodiscard]] PartialSums sums() const { return {scratch<ChannelSums>(partial_at_), counters_.data()}; }

  BatchNorm op_;
  bool trains_;
  NormRows shape_;
  ReluRule activation_{no_activation};
  std::size_t moments_at_ = 0;
  std::size_t by_at_ = 0;
  std::size_t partial_at_ = 0;
  std::size_t back_at_ = 0;
  Counters counters_;
};

}  // namespace

std::unique_ptr<Kernel> make_cuda_kernel(const BatchNorm& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<BatchNormKernel<Element>>(request, layout, context);
  });
}

}  // namespace descent
