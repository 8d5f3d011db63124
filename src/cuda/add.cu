// A sum of two values, alone or with the activation behind it: bound by the bytes that it reads and writes
// (each_pack.h). Both inputs have the same gradient, the sum's.
#include "cuda/cuda_kernel.h"
#include "cuda/each_pack.h"
#include "plan/relu_rule.h"

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

// What a gradient is multiplied with, a byte an element: a quarter of what keeping the sum would cost.
enum class Slope : std::uint8_t { none, leak, one };

// `slopes` is null for inference.
template <class Element>
struct AddingActivated {
  ReluRule rule;
  const Element* a;
  const Element* b;
  Element* y;
  Slope* slopes;

  template <int width>
  __device__ void compute(std::int64_t at) const {
    float values[width];
    float more[width];
    Pack<Slope, width> kept;
    load_floats<width>(a + at, values);
    load_floats<width>(b + at, more);
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const float sum = values[i] + more[i];
      values[i] = rule.value(sum);
      const Slope slope = sum > 0 ? Slope::one : Slope::leak;
      kept.values[i] = rule.before_limit(sum) <= rule.most ? slope : Slope::none;
    }
    store_floats<width>(y + at, values);
    if (slopes != nullptr) store_pack<width>(slopes + at, kept);
  }
};

template <class Element>
struct AddGradient {
  float leak;
  const Slope* slopes;
  const Element* dy;
  Element* dx;

  template <int width>
  __device__ void compute(std::int64_t at) const {
    float gradients[width];
    load_floats<width>(dy + at, gradients);
    const Pack<Slope, width> kept = load_pack<width>(slopes + at);
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const float leaky = kept.values[i] == Slope::leak ? leak * gradients[i] : 0.0F;
      gradients[i] = kept.values[i] == Slope::one ? gradients[i] : leaky;
    }
    store_floats<width>(dx + at, gradients);
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
class AddReluKernel : public CudaKernel {
 public:
  AddReluKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : CudaKernel(context),
        rule_(std::get<GeneralRelu>(request.unit.last().op)),
        elements_(request.output.shape.elements()),
        trains_(trains(request)) {
    needs_.output = {request.output.type, layout};
    needs_.inputs.assign(2, needs_.output);
    const auto count = static_cast<double>(elements_);
    const auto bytes = static_cast<double>(request.output.bytes());
    forward_report_ = report(request, "forward, activation", layout, count, 3 * bytes + (trains_ ? count : 0));
    needs_.output_is_input = request.input_is_free;
    if (!trains_) return;
    needs_.saved_bytes = static_cast<std::size_t>(elements_) * sizeof(Slope);
    needs_.gradients_are_one = true;
    backward_report_ = report(request, "backward, activation", layout, 0, 2 * bytes + count);
  }

  void forward(const StepContext& /*step*/) override {
    launch_each_pack<Element>(context_, "add forward, activation", elements_,
                              AddingActivated<Element>{rule_, input<Element>(0), input<Element>(1),
                                                       output<Element>(), trains_ ? slopes() : nullptr});
  }

  void backward(const StepContext& /*step*/) override {
    auto* const first = input_gradient<Element>(0);
    Element* const gradient = first != nullptr ? first : input_gradient<Element>(1);
    if (gradient == nullptr) return;
    launch_each_pack<Element>(context_, "add backward, activation", elements_,
                              AddGradient<Element>{rule_.leak, slopes(), output_gradient<Element>(), gradient});
  }

 private:
  [[nodiscard]] Slope* slopes() const { return static_cast<Slope*>(bound_.saved); }

  ReluRule rule_;
  std::int64_t elements_;
  bool trains_;
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
