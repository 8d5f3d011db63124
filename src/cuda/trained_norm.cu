// Idea: one pass over the convolution's output sums up what normalises it, one normalises and activates;
// backward the same again. Bound: bytes, 12 an element forward and 20 backward in f32. Kernels: norm_passes.cu.

#include "cuda/trained_norm.h"

#include "cuda/norm_state.h"
#include "plan/element.h"

namespace descent {

namespace {

template <class Element>
class TypedNorm final : public TrainedNorm {
 public:
  TypedNorm(const CudaContext& context, const TrainedNormRequest& request, const ReluRule& activation,
            Space& saved, Space& scratch, Space& trailing)
      : context_(context),
        activation_(activation),
        shape_{request.output.shape.elements() / request.output.shape[1],
               static_cast<int>(request.output.shape[1])},
        inner_at_(saved.take(request.output.bytes())),
        partial_at_(scratch.take(shape_.partial_bytes())),
        gradient_at_(trailing.take(request.output.bytes())),
        state_(context, request.op, shape_, request.first_parameter, saved) {}

  void bind(const Binding& binding) override { bound_ = binding; }

  [[nodiscard]] void* inner() const override { return inner_values(); }
  [[nodiscard]] void* inner_gradient() const override { return at<Element>(bound_.trailing, gradient_at_); }

  void forward() const override {
    const Element* const inner = inner_values();
    norm_sums(context_, shape_, inner, sums(), state_.statistics(bound_));
    if (!leaves_output_) write_output(bound_.output);
  }

  void backward() const override {
    const NormGradients gradients = state_.gradients(bound_);
    const Element* const inner = inner_values();
    const auto* const dy = static_cast<const Element*>(bound_.output_gradient);
    const ChannelForward* const by = state_.by(bound_);
    if (!sums_come_) norm_gradient_sums(context_, shape_, inner, dy, by, activation_, sums(), gradients);
    norm_input_gradient(context_, shape_, inner, dy, by, gradients.back, activation_,
                        at<Element>(bound_.trailing, gradient_at_));
  }

  void complete(void* output) const override {
    if (leaves_output_) write_output(output);
  }

  bool leave_output() override { return leaves_output_ = true; }
  bool await_sums() override { return sums_come_ = true; }
  [[nodiscard]] std::size_t partial_bytes() const override { return shape_.partial_bytes(); }
  [[nodiscard]] NormHandover handover() const override {
    return state_.handover(bound_, inner_values(), activation_);
  }

 private:
  void write_output(void* output) const {
    normalise(context_, shape_, static_cast<const Element*>(inner_values()), state_.by(bound_), activation_,
              static_cast<Element*>(output));
  }

  template <class T>
  [[nodiscard]] static T* at(void* memory, std::size_t place) {
    return reinterpret_cast<T*>(static_cast<std::byte*>(memory) + place);
  }
  [[nodiscard]] Element* inner_values() const { return at<Element>(bound_.saved, inner_at_); }
  [[nodiscard]] PartialSums sums() const { return state_.sums(at<ChannelSums>(bound_.scratch, partial_at_)); }

  CudaContext context_;
  ReluRule activation_;
  NormRows shape_;
  Binding bound_;
  // Between neighbours.
  bool leaves_output_ = false;  // the reader normalises what it loads
  bool sums_come_ = false;      // who writes the output's gradient takes the sums
  std::size_t inner_at_;
  std::size_t partial_at_;
  std::size_t gradient_at_;
  NormState state_;
};

}  // namespace

std::unique_ptr<TrainedNorm> make_trained_norm(const CudaContext& context, const TrainedNormRequest& request,
                                               Space& saved, Space& scratch, Space& trailing) {
  const ReluRule rule(request.activation.value_or(no_activation));
  return with_element(
      request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<TrainedNorm> {
        return std::make_unique<TypedNorm<Element>>(context, request, rule, saved, scratch, trailing);
      });
}

}  // namespace descent
