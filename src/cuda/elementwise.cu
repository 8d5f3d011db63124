// Kernels that see one element at a time: bound by the bytes that they read and write.
#include "cuda/cuda_kernel.h"
#include "descent/error.h"
#include "plan/relu_rule.h"

#include <array>

namespace descent {
namespace {

template <class Element>
__global__ void relu_forward(ReluRule rule, const Element* x, Element* y, std::int64_t count) {
  for (const std::int64_t i : grid_stride(count)) y[i] = to_element<Element>(rule.value(to_f32(x[i])));
}

template <class Element>
__global__ void relu_backward(ReluRule rule, const Element* x, const Element* dy, Element* dx,
                              std::int64_t count) {
  for (const std::int64_t i : grid_stride(count))
    dx[i] = to_element<Element>(rule.gradient(to_f32(x[i]), to_f32(dy[i])));
}

template <class Element>
__global__ void add(const Element* a, const Element* b, Element* sum, std::int64_t count) {
  for (const std::int64_t i : grid_stride(count)) sum[i] = to_element<Element>(to_f32(a[i]) + to_f32(b[i]));
}

// What a gradient is multiplied with, a byte an element: a quarter of what keeping the sum would cost.
enum class Slope : std::uint8_t { none, leak, one };

// `slopes` is null for inference.
template <class Element>
__global__ void add_relu_forward(ReluRule rule, const Element* a, const Element* b, Element* y, Slope* slopes,
                                 std::int64_t count) {
  for (const std::int64_t i : grid_stride(count)) {
    const float sum = to_f32(a[i]) + to_f32(b[i]);
    y[i] = to_element<Element>(rule.value(sum));
    if (slopes == nullptr) continue;
    const Slope slope = sum > 0 ? Slope::one : Slope::leak;
    slopes[i] = rule.before_limit(sum) <= rule.most ? slope : Slope::none;
  }
}

template <class Element>
__global__ void add_relu_backward(float leak, const Slope* slopes, const Element* dy, Element* dx,
                                  std::int64_t count) {
  for (const std::int64_t i : grid_stride(count)) {
    const float gradient = to_f32(dy[i]);
    const float leaky = slopes[i] == Slope::leak ? leak * gradient : 0.0F;
    dx[i] = to_element<Element>(slopes[i] == Slope::one ? gradient : leaky);
  }
}

constexpr std::size_t most_branches = 64;  // summed by one launch

template <class Element>
struct Branches {
  const Element* from[most_branches];
  int count;
};

// What is summed is rounded once, at the end, where one launch does it all.
template <class Element>
__global__ void sum_branches(Branches<Element> branches, Element* sum, std::int64_t count) {
  for (const std::int64_t i : grid_stride(count)) {
    float total = to_f32(branches.from[0][i]);
    for (int branch = 1; branch < branches.count; ++branch) total += to_f32(branches.from[branch][i]);
    sum[i] = to_element<Element>(total);
  }
}

template <class Element>
class GeneralReluKernel : public CudaKernel {
 public:
  GeneralReluKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : CudaKernel(context),
        rule_(std::get<GeneralRelu>(request.unit.first().op)),
        elements_(request.output.shape.elements()) {
    needs_.output = {request.output.type, layout};
    needs_.inputs = {needs_.output};
    needs_.backward_reads_inputs = wants_gradient(request);
    needs_.output_is_input = !trains(request) && request.input_is_free;
    const auto bytes = static_cast<double>(request.output.bytes());
    forward_report_ = report(request, "forward", layout, 0, 2 * bytes);
    if (wants_gradient(request)) backward_report_ = report(request, "backward", layout, 0, 3 * bytes);
  }

  void forward(const StepContext& /*step*/) override {
    launch(context_, "general_relu forward", grid_for(context_, elements_), relu_forward<Element>, rule_,
           input<Element>(), output<Element>(), elements_);
  }

  void backward(const StepContext& /*step*/) override {
    if (input_gradient<Element>() == nullptr) return;
    launch(context_, "general_relu backward", grid_for(context_, elements_), relu_backward<Element>, rule_,
           input<Element>(), output_gradient<Element>(), input_gradient<Element>(), elements_);
  }

 private:
  ReluRule rule_;
  std::int64_t elements_;
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
    launch(context_, "add forward", grid_for(context_, elements_), add<Element>, input<Element>(0),
           input<Element>(1), output<Element>(), elements_);
  }

 private:
  std::int64_t elements_;
};

// Both inputs have the same gradient, the sum's.
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
    launch(context_, "add forward, activation", grid_for(context_, elements_), add_relu_forward<Element>, rule_,
           input<Element>(0), input<Element>(1), output<Element>(), trains_ ? slopes() : nullptr, elements_);
  }

  void backward(const StepContext& /*step*/) override {
    auto* const first = input_gradient<Element>(0);
    Element* const gradient = first != nullptr ? first : input_gradient<Element>(1);
    if (gradient == nullptr) return;
    launch(context_, "add backward, activation", grid_for(context_, elements_), add_relu_backward<Element>,
           rule_.leak, slopes(), output_gradient<Element>(), gradient, elements_);
  }

 private:
  [[nodiscard]] Slope* slopes() const { return static_cast<Slope*>(bound_.saved); }

  ReluRule rule_;
  std::int64_t elements_;
  bool trains_;
};

// Any of the branches may share the sum's memory: the launch that reads such a one must be the first.
template <class Element>
class GradientSumKernel : public CudaKernel {
 public:
  GradientSumKernel(const TensorDesc& desc, std::size_t branches, const CudaContext& context)
      : CudaKernel(context), elements_(desc.shape.elements()) {
    needs_.inputs = {desc.format()};
    needs_.output = desc.format();
    needs_.output_is_input = true;
    if (branches > most_branches) {
      throw Error("a value is read by " + std::to_string(branches) + " layers; on a CUDA device at most " +
                  std::to_string(most_branches) + " may");
    }
    const auto count = static_cast<double>(elements_) * static_cast<double>(branches);
    backward_report_ = {"",
                        "gradient sum",
                        "own",
                        cuda_format_name(desc.format()),
                        0,
                        count - static_cast<double>(elements_),
                        static_cast<double>(size_of(desc.type)) * (count + static_cast<double>(elements_))};
  }

  void forward(const StepContext& /*step*/) override {}

  void backward(const StepContext& /*step*/) override {
    Branches<Element> branches{};
    branches.count = static_cast<int>(bound_.input_gradients.size());
    for (std::size_t i = 0; i < bound_.input_gradients.size(); ++i)
      branches.from[i] = input_gradient<Element>(i);
    launch(context_, "gradient sum", grid_for(context_, elements_), sum_branches<Element>, branches,
           static_cast<Element*>(bound_.output_gradient), elements_);
  }

 private:
  std::int64_t elements_;
};

class FlattenKernel : public CudaKernel {
 public:
  FlattenKernel(const KernelRequest& request, Layout layout, const CudaContext& context) : CudaKernel(context) {
    needs_.output = {request.output.type, layout};
    needs_.inputs = {needs_.output};
    needs_.output_is_input = true;
    needs_.gradient_is_shared = true;
  }
  void forward(const StepContext& /*step*/) override {}
};

}  // namespace

std::unique_ptr<Kernel> make_cuda_kernel(const GeneralRelu& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<GeneralReluKernel<Element>>(request, layout, context);
  });
}

std::unique_ptr<Kernel> make_cuda_kernel(const Add& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    if (request.unit.layers.size() > 1)
      return std::make_unique<AddReluKernel<Element>>(request, layout, context);
    return std::make_unique<AddKernel<Element>>(request, layout, context);
  });
}

std::unique_ptr<Kernel> make_cuda_gradient_sum(const TensorDesc& desc, std::size_t branches,
                                               const CudaContext& context) {
  return with_element(desc.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<GradientSumKernel<Element>>(desc, branches, context);
  });
}

std::unique_ptr<Kernel> make_cuda_kernel(const Flatten& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return std::make_unique<FlattenKernel>(request, layout, context);
}

}  // namespace descent
