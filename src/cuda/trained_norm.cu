// Idea: one pass over the convolution's output sums up what normalises it, one normalises and activates;
// backward the same again. Bound: bytes, 12 an element forward and 20 backward in f32. Kernels: norm_passes.cu.

#include "cuda/trained_norm.h"

#include "cuda/counters.h"
#include "cuda/norm_passes.h"
#include "plan/element.h"

namespace descent {

namespace {

template <class Element>
class TypedNorm final : public TrainedNorm {
 public:
  TypedNorm(const CudaContext& context, const BatchNorm& op, const ReluRule& activation,
            const TensorDesc& output, Space& saved, Space& scratch, Space& trailing)
      : context_(context),
        op_(op),
        activation_(activation),
        shape_{output.shape.elements() / output.shape[1], static_cast<int>(output.shape[1])},
        counters_(context, shape_.counter_bytes()) {
    const auto channels = static_cast<std::size_t>(shape_.channels);
    inner_at_ = saved.take(output.bytes());
    moments_at_ = saved.take(channels * sizeof(ChannelMoments));
    by_at_ = saved.take(channels * sizeof(ChannelForward));
    back_at_ = saved.take(channels * sizeof(ChannelBackward));  // a neighbour may write it
    partial_at_ = scratch.take(shape_.partial_bytes());
    gradient_at_ = trailing.take(output.bytes());
  }

  void bind(const Binding& binding, std::size_t first_parameter) override {
    bound_ = binding;
    first_parameter_ = first_parameter;
  }

  [[nodiscard]] void* inner() const override { return saved<Element>(inner_at_); }
  [[nodiscard]] void* inner_gradient() const override { return trailing<Element>(gradient_at_); }

  void forward() const override {
    const NormStatistics statistics{op_,
                                    static_cast<double>(shape_.rows),
                                    parameter(bound_.parameters, 0),
                                    parameter(bound_.parameters, 1),
                                    static_cast<float*>(bound_.statistics[0]),
                                    static_cast<float*>(bound_.statistics[1]),
                                    saved<ChannelMoments>(moments_at_),
                                    saved<ChannelForward>(by_at_)};
    const Element* const inner = saved<Element>(inner_at_);
    norm_sums(context_, shape_, inner, sums(), statistics);
    if (!leaves_output_) write_output(bound_.output);
  }

  void backward() const override {
    const NormGradients gradients = handover().gradients;
    const Element* const inner = saved<Element>(inner_at_);
    const auto* const dy = static_cast<const Element*>(bound_.output_gradient);
    const ChannelForward* const by = saved<ChannelForward>(by_at_);
    if (!sums_come_) norm_gradient_sums(context_, shape_, inner, dy, by, activation_, sums(), gradients);
    norm_input_gradient(context_, shape_, inner, dy, by, gradients.back, activation_,
                        trailing<Element>(gradient_at_));
  }

  void complete(void* output) const override {
    if (leaves_output_) write_output(output);
  }

  bool leave_output() override { return leaves_output_ = true; }
  bool await_sums() override { return sums_come_ = true; }
  [[nodiscard]] std::size_t partial_bytes() const override { return shape_.partial_bytes(); }
  [[nodiscard]] NormHandover handover() const override {
    return {saved<Element>(inner_at_),
            saved<ChannelForward>(by_at_),
            activation_,
            bound_.output,
            counters_.data(),
            {static_cast<double>(shape_.rows), parameter(bound_.parameters, 0),
             saved<ChannelMoments>(moments_at_), parameter(bound_.parameter_gradients, 0),
             parameter(bound_.parameter_gradients, 1), saved<ChannelBackward>(back_at_)}};
  }

 private:
  void write_output(void* output) const {
    normalise(context_, shape_, static_cast<const Element*>(saved<Element>(inner_at_)),
              saved<ChannelForward>(by_at_), activation_, static_cast<Element*>(output));
  }

  template <class T>
  [[nodiscard]] T* saved(std::size_t at) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.saved) + at);
  }
  template <class T>
  [[nodiscard]] T* scratch(std::size_t at) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.scratch) + at);
  }
  template <class T>
  [[nodiscard]] T* trailing(std::size_t at) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.trailing) + at);
  }
  [[nodiscard]] float* parameter(const std::vector<void*>& list, std::size_t number) const {
    return static_cast<float*>(list[first_parameter_ + number]);
  }
  [[nodiscard]] PartialSums sums() const { return {scratch<ChannelSums>(partial_at_), counters_.data()}; }

  CudaContext context_;
  BatchNorm op_;
  ReluRule activation_;
  NormRows shape_;
  Binding bound_;
  std::size_t first_parameter_ = 0;
  // Between neighbours.
  bool leaves_output_ = false;  // the reader normalises what it loads
  bool sums_come_ = false;      // who writes the output's gradient takes the sums
  std::size_t inner_at_ = 0;
  std::size_t moments_at_ = 0;
  std::size_t by_at_ = 0;
  std::size_t partial_at_ = 0;
  std::size_t back_at_ = 0;
  std::size_t gradient_at_ = 0;
  Counters counters_;
};

}  // namespace

std::unique_ptr<TrainedNorm> make_trained_norm(const CudaContext& context, const BatchNorm& op,
                                               const std::optional<GeneralRelu>& activation,
                                               const TensorDesc& output, Space& saved, Space& scratch,
                                               Space& trailing) {
  const ReluRule rule(activation.value_or(no_activation));
  return with_element(output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<TrainedNorm> {
    return std::make_unique<TypedNorm<Element>>(context, op, rule, output, saved, scratch, trailing);
  });
}

}  // namespace descent
