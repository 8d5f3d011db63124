// What descent's own CUDA kernels have in common.
#pragma once

#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "plan/element.h"

#include <string>
#include <string_view>
#include <vector>

namespace descent {

// Keeps needs, addresses and reports; a kernel fills needs_ and the reports' work in its constructor.
class CudaKernel : public Kernel {
 public:
  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }
  void bind(const Binding& binding) override { bound_ = binding; }
  void backward(const StepContext& /*context*/) override {}
  [[nodiscard]] OperationReport report_forward() const override { return forward_report_; }
  [[nodiscard]] OperationReport report_backward() const override { return backward_report_; }

 protected:
  explicit CudaKernel(const CudaContext& context) : context_(context) {}

  static bool trains(const KernelRequest& request) { return request.plan.mode == Mode::train; }
  static bool wants_gradient(const KernelRequest& request, std::size_t input = 0) {
    return trains(request) && input < request.input_gradients.size() && request.input_gradients[input];
  }
  // "own" reports of one operation; `bytes` are those read and written at least.
  static OperationReport report(const KernelRequest& request, std::string_view direction, Layout layout,
                                double flops, double bytes) {
    std::string operation{name(request.unit.first().op)};
    return {request.unit.name(),
            operation.append(" ").append(direction),
            "own",
            cuda_format_name({request.output.type, layout}),
            0,
            flops,
            bytes};
  }

  template <class Element = float>
  [[nodiscard]] const Element* input(std::size_t i = 0) const {
    return static_cast<const Element*>(bound_.inputs[i]);
  }
  template <class Element = float>
  [[nodiscard]] Element* output() const {
    return static_cast<Element*>(bound_.output);
  }
  // Null where nobody wants it.
  template <class Element = float>
  [[nodiscard]] Element* input_gradient(std::size_t i = 0) const {
    return i < bound_.input_gradients.size() ? static_cast<Element*>(bound_.input_gradients[i]) : nullptr;
  }
  template <class Element = float>
  [[nodiscard]] const Element* output_gradient() const {
    return static_cast<const Element*>(bound_.output_gradient);
  }
  [[nodiscard]] static float* tensor(const std::vector<void*>& list, std::size_t i) {
    return i < list.size() ? static_cast<float*>(list[i]) : nullptr;
  }

  CudaContext context_;
  KernelNeeds needs_;
  Binding bound_;
  OperationReport forward_report_;
  OperationReport backward_report_;
};

}  // namespace descent
