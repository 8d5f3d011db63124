// A sum of two values, alone or with the activation behind it: bound by the bytes that it reads and writes
// (each_pack.h). Both inputs have the same gradient, the sum's. With an activation, in training, it
// spares those around it passes (neighbours.h): it normalises what it loads, adds up the gradients of its
// readers, and takes the sums that the normalisation before it begins its backward with (join_passes.h).
#include "cuda/cuda_kernel.h"
#include "cuda/each_pack.h"
#include "cuda/join_passes.h"
#include "cuda/neighbours.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace descent {
namespace {

template <class Element>
struct Adding {
  const Element* a;
  const Element* b;
  Element* sum;

  template <int width>
  __device__ void compute(std::int64_t at) const {
    float values[width];
    float more[width];
    load_floats<width>(a + at, values);
    load_floats<width>(b + at, more);
#pragma unroll
    for (int i = 0; i < width; ++i) values[i] += more[i];
    store_floats<width>(sum + at, values);
  }
};

template <class Element>
struct AddingActivated {
  const Element* a;
  const Element* b;
  SumEnding<Element> ending;

  template <int width>
  __device__ void compute(std::int64_t at) const {
    float values[width];
    float more[width];
    load_floats<width>(a + at, values);
    load_floats<width>(b + at, more);
    ending.template finish<width>(at, values, more);
  }
};

template <class Element, int known>
struct AddGradient {
  SumGradient<Element, known> gradient;

  template <int width>
  __device__ void compute(std::int64_t at) const {
    float values[width];
    gradient.write(at, gradient.template load<width>(at), values);
  }
};

template <class Element>
class AddKernel : public CudaKernel {
 public:
  AddKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : CudaKernel(context), elements_(request.output.shape.elements()) {
    needs_.output = {request.output.type, layout};
    needs_.inputs.assign(2, needs_.output);
    needs_.output_is_input = request.input_is_free;
    needs_.gradient_is_shared = true;
    forward_report_ = report(request, "forward", layout, static_cast<double>(elements_),
                             3 * static_cast<double>(request.output.bytes()));
  }

  void forward(const StepContext& /*step*/) override {
    launch_each_pack<Element>(context_, "add forward", elements_,
                              Adding<Element>{input<Element>(0), input<Element>(1), output<Element>()});
  }

 private:
  std::int64_t elements_;
};

template <class Element>
class AddReluKernel final : public CudaKernel, public NormReader, public BranchReader {
 public:
  AddReluKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : CudaKernel(context),
        rule_(std::get<GeneralRelu>(request.unit.last().op)),
        elements_(request.output.shape.elements()),
        value_bytes_(static_cast<double>(request.output.bytes())),
        trains_(trains(request)) {
    const Shape& shape = request.output.shape;
    shape_ = {elements_ / shape[1], static_cast<int>(shape[1])};
    needs_.output = {request.output.type, layout};
    needs_.inputs.assign(2, needs_.output);
    const auto count = static_cast<double>(elements_);
    forward_report_ =
        report(request, "forward, activation", layout, count, 3 * value_bytes_ + (trains_ ? count : 0));
    needs_.output_is_input = request.input_is_free;
    if (!trains_) return;
    for (std::size_t i = 0; i < wants_.size(); ++i) wants_[i] = wants_gradient(request, i);
    needs_.saved_bytes = static_cast<std::size_t>(elements_) * sizeof(Slope);
    needs_.gradients_are_one = true;
    backward_report_ = report(request, "backward, activation", layout, 0, 2 * value_bytes_ + count);
  }

  void forward(const StepContext& /*step*/) override {
    const SumEnding<Element> ending{rule_, output<Element>(), trains_ ? slopes() : nullptr};
    SumInput<Element> a = sum_input(0);
    SumInput<Element> b = sum_input(1);
    if (a.by == nullptr) std::swap(a, b);  // a + b is b + a
    if (a.by != nullptr) return add_normalised(context_, shape_, a, b, ending);
    launch_each_pack<Element>(context_, "add forward, activation", elements_,
                              AddingActivated<Element>{a.from, b.from, ending});
  }

  void backward(const StepContext& /*step*/) override {
    auto* const first = input_gradient<Element>(0);
    Element* const to = first != nullptr ? first : input_gradient<Element>(1);
    if (to == nullptr) return;
    with_branches<Element>(output_gradients(), [&]<int known>(const Branches<Element, known>& branches) {
      const SumGradient<Element, known> gradient{branches, slopes(), rule_.leak, to};
      if (sums_for_ != nullptr) {
        const NormHandover of = sums_for_->handover();
        const PartialSums sums{static_cast<ChannelSums*>(bound_.scratch), of.counters};
        return sum_gradient_with_sums(context_, shape_, gradient, of, sums);
      }
      launch_each_pack<Element>(context_, "add backward, activation", elements_,
                                AddGradient<Element, known>{gradient});
    });
  }

  void meet(NormWriter& writer, std::size_t number) override {
    if (!trains_) return;
    if (writer.leave_output()) sources_.at(number) = &writer;
    // One normalisation's sums a pass: a second takes its own.
    if (sums_for_ != nullptr || !wants_.at(number) || !writer.await_sums()) return;
    sums_for_ = &writer;
    needs_.scratch_bytes = std::max(needs_.scratch_bytes, writer.partial_bytes());
    backward_report_.bytes += value_bytes_;
  }

  bool take(const BranchedGradient& gradient) override {
    if (!trains_) return false;
    branched_ = &gradient;
    backward_report_.operation += ", gradient sum";
    backward_report_.bytes += static_cast<double>(gradient.count() - 1) * value_bytes_;
    return true;
  }

 private:
  [[nodiscard]] SumInput<Element> sum_input(std::size_t number) const {
    if (sources_.at(number) == nullptr) return {.from = input<Element>(number)};
    const NormHandover left = sources_.at(number)->handover();
    return {static_cast<const Element*>(left.z), left.by, left.activation};
  }

  [[nodiscard]] std::span<void* const> output_gradients() const {
    if (branched_ != nullptr) return branched_->branches();
    return {&bound_.output_gradient, 1};
  }

  [[nodiscard]] Slope* slopes() const { return static_cast<Slope*>(bound_.saved); }

  ReluRule rule_;
  std::int64_t elements_;
  double value_bytes_;
  NormRows shape_;
  bool trains_;
  std::array<bool, 2> wants_{};  // gradients
  // Between neighbours.
  std::array<NormWriter*, 2> sources_{};  // which left an input to this kernel
  NormWriter* sums_for_ = nullptr;        // which wants sums over the gradient
  const BranchedGradient* branched_ = nullptr;
};

}  // namespace

std::unique_ptr<Kernel> make_cuda_kernel(const Add& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    if (request.unit.layers.size() > 1)
      return std::make_unique<AddReluKernel<Element>>(request, layout, context);
    return std::make_unique<AddKernel<Element>>(request, layout, context);
  });
}

}  // namespace descent
