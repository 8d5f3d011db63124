// Kernels that see one element at a time: bound by the bytes that they read and write (each_pack.h).
#include "cuda/activation.h"
#include "cuda/cuda_kernel.h"
#include "cuda/each_pack.h"

namespace descent {
namespace {

template <class Element>
struct Activating {
  ReluRule rule;
  const Element* x;
  Element* y;

  template <int width>
  __device__ void compute(std::int64_t at) const {
    float values[width];
    load_floats<width>(x + at, values);
    activate(rule, values);
    store_floats<width>(y + at, values);
  }
};

template <class Element>
struct Differentiating {
  ReluRule rule;
  const Element* x;
  const Element* dy;
  Element* dx;

  template <int width>
  __device__ void compute(std::int64_t at) const {
    float values[width];
    float gradients[width];
    load_floats<width>(x + at, values);
    load_floats<width>(dy + at, gradients);
    activation_gradient(rule, values, gradients);
    store_floats<width>(dx + at, gradients);
  }
};

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
    launch_each_pack<Element>(context_, "general_relu forward", elements_,
                              Activating<Element>{rule_, input<Element>(), output<Element>()});
  }

  void backward(const StepContext& /*step*/) override {
    if (input_gradient<Element>() == nullptr) return;
    launch_each_pack<Element>(context_, "general_relu backward", elements_,
                              Differentiating<Element>{rule_, input<Element>(), output_gradient<Element>(),
                                                       input_gradient<Element>()});
  }

 private:
  ReluRule rule_;
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

std::unique_ptr<Kernel> make_cuda_kernel(const Flatten& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return std::make_unique<FlattenKernel>(request, layout, context);
}

}  // namespace descent
