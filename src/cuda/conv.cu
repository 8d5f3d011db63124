// Convolution or linear layer with what follows it: in training batch normalisation and activation, in
// inference batch normalisation, a residual sum and an activation; each of them may be missing.
//
// Idea: few passes over memory. Forward, the statistics are summed up where the convolution's sums are still in
// registers; the next convolution normalises and activates what it loads, or a pass does. In inference
// everything happens there. Backward, the sums that the normalisation needs are taken by whoever writes the
// output's gradient, or by a pass; the gradient of the convolution's output is made where the input's is
// computed, or by a pass (neighbours.h). The weights' gradient is computed beside what follows: the layers
// before do not wait for it.
//
// Bound: the products' FLOPs (conv_tiles.h); around them 12 bytes an output forward and 20 backward in f32,
// less where neighbours spare a pass, which reports do not take into account.
#include "cuda/conv_passes.h"
#include "cuda/cuda_kernel.h"
#include "cuda/neighbours.h"
#include "cuda/norm_state.h"
#include "cuda/side_stream.h"
#include "plan/units.h"

#include <algorithm>
#include <optional>

namespace descent {

namespace {

// A linear layer is a convolution of pictures of one cell.
Conv conv_of(const Unit& unit) {
  if (const auto conv = operation_in<Conv>(unit)) return *conv;
  const Linear& linear = std::get<Linear>(unit.first().op);
  return {.out = linear.out, .kernel = {1, 1}, .bias = linear.bias};
}

template <class Element>
class ConvKernel final : public CudaKernel, public NormWriter, public NormReader {
 public:
  ConvKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : CudaKernel(context),
        op_(conv_of(request.unit)),
        norm_(operation_in<BatchNorm>(request.unit)),
        trains_(trains(request)),
        bias_is_zero_(norm_ || request.mean_is_removed),
        forward_(forward_gather(op_, request.inputs.front().shape, request.output.shape)),
        backward_(backward_gather(op_, request.inputs.front().shape, request.output.shape)) {
    const Shape& output = request.output.shape;
    shape_ = {output.elements() / output[1], static_cast<int>(output[1])};
    if (const auto relu = operation_in<GeneralRelu>(request.unit)) activation_.emplace(*relu);
    needs_.output = {request.output.type, layout};
    needs_.inputs.assign(request.inputs.size(), needs_.output);
    if (trains_) ask_for_memory(request);
    report_work(request, layout);
  }

  void forward(const StepContext& /*context*/) override {
    ConvEnding<Element> ending;
    ending.trains = trains_;
    ending.bias = op_.bias ? tensor(bound_.parameters, 1) : nullptr;
    if (trains_ && norm_) return forward_with_statistics(ending);
    if (norm_) {
      ending.scale = tensor(bound_.parameters, first_norm_parameter());
      ending.shift = tensor(bound_.parameters, first_norm_parameter() + 1);
      ending.mean = tensor(bound_.statistics, 0);
      ending.variance = tensor(bound_.statistics, 1);
      ending.eps = norm_->eps;
    }
    if (bound_.inputs.size() > 1) ending.residual = input<Element>(1);
    ending.activates = activation_.has_value();
    if (activation_) ending.activation = *activation_;
    if (trains_ && activation_) ending.before = saved<Element>(inner_at_);
    convolve(ending, output<Element>());
  }

  void backward(const StepContext& /*context*/) override {
    OutputGradient<Element> gradient;
    gradient.dy = output_gradient<Element>();
    if (activation_) gradient.activation = *activation_;
    if (has_inner()) gradient.z = saved<Element>(inner_at_);
    if (norm_) {
      const NormGradients gradients = norm_state_.gradients(bound_);
      gradient.by = norm_state_.by(bound_);
      gradient.back = gradients.back;
      if (!sums_come_) {
        norm_gradient_sums(context_, shape_, gradient.z, gradient.dy, gradient.by, gradient.activation, sums(),
                           gradients);
      }
    }
    Element* const dx = input_gradient<Element>();
    if (dx == nullptr) return parameter_gradients(context_, gradient);
    if (has_inner()) gradient.dz = trailing<Element>(dz_at_);
    if (norm_ && makes_source(context_, backward_)) {
      gather_product(context_, backward_, ending_of_gradient(), gradient, tensor(bound_.parameters, 0), dx);
      return parameter_gradients_beside(gradient.dz);
    }
    if (norm_) {
      norm_input_gradient(context_, shape_, gradient.z, gradient.dy, gradient.by, gradient.back,
                          gradient.activation, gradient.dz);
    }
    const Element* const dz = has_inner() ? gradient.dz : gradient.dy;
    if (activation_ && !norm_) {  // dz is made with the weights' gradient, and waited for
      parameter_gradients(context_, gradient);
    } else {
      parameter_gradients_beside(dz);
    }
    gather_product(context_, backward_, ending_of_gradient(), dz, tensor(bound_.parameters, 0), dx);
  }

  bool await_sums() override { return sums_come_ = trains_ && norm_; }
  bool leave_output() override { return leaves_output_ = trains_ && norm_; }
  [[nodiscard]] std::size_t partial_bytes() const override { return shape_.partial_bytes(); }
  [[nodiscard]] NormHandover handover() const override {
    return norm_state_.handover(bound_, saved<Element>(inner_at_), activation_or_none());
  }
  void meet(NormWriter& writer, std::size_t number) override {
    if (!trains_ || number > 0) return;
    if (takes_gradient_sums(context_, backward_) && writer.await_sums()) {
      sums_for_ = &writer;
      needs_.scratch_bytes = std::max(needs_.scratch_bytes, writer.partial_bytes());
    }
    if (makes_source(context_, forward_) && writer.leave_output()) source_of_ = &writer;
  }
  void complete(void* output) override {
    if (leaves_output_) write_output(static_cast<Element*>(output));
  }

 private:
  void parameter_gradients(const CudaContext& context, const OutputGradient<Element>& gradient) const {
    weight_gradient(context, forward_, input<Element>(), gradient,
                    {trailing<float>(partial_weights_at_), tensor(bound_.parameter_gradients, 0),
                     op_.bias ? tensor(bound_.parameter_gradients, 1) : nullptr, bias_is_zero_});
  }

  void parameter_gradients_beside(const Element* dz) const {
    run_beside(context_, [&](const CudaContext& context) { parameter_gradients(context, {.dy = dz}); });
  }

  [[nodiscard]] ConvEnding<Element> ending_of_gradient() const {
    ConvEnding<Element> ending;
    if (sums_for_ == nullptr) return ending;
    const NormHandover other = sums_for_->handover();
    ending.sums = {static_cast<ChannelSums*>(bound_.scratch), other.counters};
    ending.gradient_sums = {static_cast<const Element*>(other.z), other.by, other.activation, other.gradients};
    return ending;
  }

  // The convolution's output is not the unit's.
  [[nodiscard]] bool has_inner() const { return norm_ || activation_; }

  void ask_for_memory(const KernelRequest& request) {
    needs_.backward_reads_inputs = true;
    const WeightTiles tiles(forward_);
    Space saved;
    if (has_inner()) inner_at_ = saved.take(request.output.bytes());
    if (norm_) norm_state_ = NormState(context_, *norm_, shape_, first_norm_parameter(), saved);
    needs_.saved_bytes = saved.bytes();
    needs_.scratch_bytes = norm_ ? shape_.partial_bytes() : 0;
    Space trailing;
    dz_at_ = trailing.take(has_inner() && wants_gradient(request) ? request.output.bytes() : 0);
    partial_weights_at_ = trailing.take(tiles.partial_bytes(forward_));
    needs_.trailing_bytes = trailing.bytes();
    needs_.backward_trails = wants_gradient(request) && (norm_ || !activation_);
  }

  void report_work(const KernelRequest& request, Layout layout) {
    const auto outputs = static_cast<double>(request.output.shape.elements());
    const double products = 2.0 * outputs * forward_.in * forward_.kernel();
    const auto weights = 4.0 * static_cast<double>(forward_.groups) * forward_.group_weights();
    auto read = weights;
    for (const TensorDesc& input : request.inputs) read += static_cast<double>(input.bytes());
    const auto written = static_cast<double>(request.output.bytes());
    std::string after = norm_ ? ", norm" : "";
    if (request.inputs.size() > 1) after += ", sum";
    if (activation_) after += ", activation";
    const double passes = !trains_ || !norm_ ? 1 : 3;
    forward_report_ = report(request, "forward" + after, layout, products, read + passes * written);
    if (!trains_) return;
    const bool both = wants_gradient(request);
    backward_report_ = report(request, "backward" + after, layout, both ? 2 * products : products,
                              (both ? 2 : 1) * (read + written) + (norm_ ? 4 : 0) * written);
  }

  void forward_with_statistics(ConvEnding<Element> ending) const {
    const NormStatistics statistics = norm_state_.statistics(bound_);
    auto* const inner = saved<Element>(inner_at_);
    if (takes_sums(forward_)) {
      ending.sums = sums();
      ending.statistics = statistics;
      convolve(ending, inner);
    } else {
      convolve(ending, inner);
      norm_sums(context_, shape_, static_cast<const Element*>(inner), sums(), statistics);
    }
    if (!leaves_output_) write_output(output<Element>());
  }

  void write_output(Element* to) const {
    normalise(context_, shape_, static_cast<const Element*>(saved<Element>(inner_at_)), norm_state_.by(bound_),
              activation_or_none(), to);
  }

  void convolve(const ConvEnding<Element>& ending, Element* to) const {
    if (source_of_ != nullptr) {
      const NormHandover left = source_of_->handover();
      const NormalisedSource<Element> source{static_cast<const Element*>(left.z), left.by, left.activation,
                                             static_cast<Element*>(left.y)};
      return gather_product(context_, forward_, ending, source, tensor(bound_.parameters, 0), to);
    }
    gather_product(context_, forward_, ending, input<Element>(), tensor(bound_.parameters, 0), to);
  }

  // Scale and shift stand behind the weights and the bias.
  [[nodiscard]] std::size_t first_norm_parameter() const { return op_.bias ? 2 : 1; }
  [[nodiscard]] ReluRule activation_or_none() const { return activation_.value_or(ReluRule(no_activation)); }
  template <class T>
  [[nodiscard]] T* saved(std::size_t at) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.saved) + at);
  }
  template <class T>
  [[nodiscard]] T* trailing(std::size_t at) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.trailing) + at);
  }
  // All of the scratch: of this kernel's sums, or a neighbour's.
  [[nodiscard]] PartialSums sums() const { return norm_state_.sums(bound_.scratch); }

  Conv op_;
  std::optional<BatchNorm> norm_;
  std::optional<ReluRule> activation_;
  bool trains_;
  bool bias_is_zero_;
  Gather forward_;
  Gather backward_;
  NormRows shape_;
  // Between neighbours.
  bool leaves_output_ = false;       // the reader normalises what it loads
  bool sums_come_ = false;           // who writes the output's gradient takes the sums
  NormWriter* source_of_ = nullptr;  // which left input 0 to this kernel
  NormWriter* sums_for_ = nullptr;   // which wants sums over the gradient of input 0
  std::size_t inner_at_ = 0;
  std::size_t dz_at_ = 0;
  std::size_t partial_weights_at_ = 0;
  NormState norm_state_;  // in training
};

std::unique_ptr<Kernel> make_conv_kernel(const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<ConvKernel<Element>>(request, layout, context);
  });
}

}  // namespace

std::unique_ptr<Kernel> make_cuda_kernel(const Conv& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return make_conv_kernel(request, layout, context);
}

std::unique_ptr<Kernel> make_cuda_kernel(const Linear& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return make_conv_kernel(request, layout, context);
}

}  // namespace descent
