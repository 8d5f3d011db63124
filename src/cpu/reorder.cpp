// A value between two units that want it in different layouts. Bound: bytes, one read and one write.
#include "cpu/kernels.h"
#include "cpu/library_kernels.h"

#include <algorithm>
#include <optional>

namespace descent {

namespace {

class ReorderKernel final : public Kernel {
 public:
  ReorderKernel(const TensorDesc& from, Format to, bool gradient, const Onednn& onednn)
      : onednn_(onednn),
        from_(from.format()),
        to_(to),
        bytes_(from.bytes() + from.in(to).bytes()),
        forward_(onednn, memory_desc(from), memory_desc(from.in(to))) {
    needs_.inputs = {from_};
    needs_.output = to_;
    needs_.scratch_bytes = forward_.scratchpad_bytes();
    if (!gradient) return;
    backward_.emplace(onednn, memory_desc(from.in(to)), memory_desc(from));
    needs_.scratch_bytes = std::max(needs_.scratch_bytes, backward_->scratchpad_bytes());
  }

  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }

  void bind(const Binding& binding) override {
    forward_.bind(binding.inputs.front(), binding.output, binding.scratch);
    if (backward_) backward_->bind(binding.output_gradient, binding.input_gradients.front(), binding.scratch);
  }

  void forward(const StepContext& /*context*/) override { forward_.run(onednn_); }
  void backward(const StepContext& /*context*/) override {
    if (backward_) backward_->run(onednn_);
  }

  [[nodiscard]] OperationReport report_forward() const override {
    return report("reorder forward", forward_.implementation(), from_, to_);
  }
  [[nodiscard]] OperationReport report_backward() const override {
    return backward_ ? report("reorder backward", backward_->implementation(), to_, from_) : OperationReport{};
  }

 private:
  [[nodiscard]] OperationReport report(std::string operation, const std::string& implementation, Format from,
                                       Format to) const {
    OperationReport report;
    report.operation = std::move(operation);
    report.implementation = implementation;
    report.layout = change_name(from, to);
    report.bytes = static_cast<double>(bytes_);
    return report;
  }

  Onednn onednn_;
  Format from_;
  Format to_;
  std::size_t bytes_;
  KernelNeeds needs_;
  Reorder forward_;
  std::optional<Reorder> backward_;
};

}  // namespace

std::unique_ptr<Kernel> make_reorder(const TensorDesc& from, Format to, bool gradient, const Onednn& onednn,
                                     const CpuContext& context) {
  if (auto loops = make_reorder_loops(from, to, gradient, context)) return loops;
  return std::make_unique<ReorderKernel>(from, to, gradient, onednn);
}

}  // namespace descent
