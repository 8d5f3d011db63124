// Folded units through oneDNN or by Winograd's algorithm: bias, residual sum and activation are done while the
// sums are in registers. Bound: arithmetic, as the convolution's own; for the last layers of large networks at
// batch 1 the weights' bytes.
//
// The library's max(x, 0) makes 0 of what is not a number. That must not hide weights that are not: with such
// weights the output is not a number either.
#include "cpu/aligned.h"
#include "cpu/conv.h"
#include "cpu/folded_kernels.h"
#include "plan/folded.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace descent {

namespace {

class FoldedConv final : public Kernel {
 public:
  FoldedConv(const KernelRequest& request, const ConvChoice& choice, const ConvTools& tools)
      : run_(folded_run(request.unit.layers)),
        problem_(folded_problem(request)),
        choice_(choice),
        part_(make_chosen_conv_part(tools, problem_, Direction::forward, choice)),
        inner_(part_->inner_bytes()),
        shifts_(static_cast<std::size_t>(problem_.op.out) * sizeof(float)) {
    needs_.output = {problem_.type, choice.destination};
    needs_.inputs = {{problem_.type, choice.source}};
    if (run_.adds) needs_.inputs.push_back(needs_.output);
    needs_.scratch_bytes = part_->scratchpad_bytes();
  }

  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }

  void bind(const Binding& binding) override { bound_ = binding; }

  void refresh() override {
    const auto weights = static_cast<std::size_t>(problem_.weights().elements());
    AlignedBytes folded(weights * sizeof(float));
    finite_ = fold(channel_rules(run_, bound_, problem_.op.out),
                   {static_cast<const float*>(bound_.parameters.front()), weights},
                   {static_cast<float*>(folded.data()), weights},
                   {static_cast<float*>(shifts_.data()), static_cast<std::size_t>(problem_.op.out)});
    part_->bind({bound_.inputs.front(), bound_.output, folded.data(), shifts_.data(), inner_.data(),
                 bound_.scratch, run_.adds ? bound_.inputs[1] : nullptr});
    part_->derive();
    if (inner_.data() == nullptr) plain_ = std::move(folded);
  }

  void forward(const StepContext& /*context*/) override {
    part_->run();
    // All bits set is not a number in every type.
    if (!finite_) std::memset(bound_.output, 0xff, output_bytes());
  }

  void backward(const StepContext& /*context*/) override {}

  [[nodiscard]] OperationReport report_forward() const override {
    OperationReport report;
    report.operation = "conv forward";
    report.implementation = part_->implementation();
    report.layout = fmt::format("{} → {}", layout_name(choice_.source), layout_name(choice_.destination));
    report.flops = part_->flops();
    const std::int64_t elements =
        problem_.source.elements() + problem_.destination.elements() * (run_.adds ? 2 : 1);
    report.bytes = static_cast<double>(elements) * static_cast<double>(size_of(problem_.type)) +
                   static_cast<double>(problem_.weights().elements()) * sizeof(float);
    return report;
  }

 private:
  [[nodiscard]] std::size_t output_bytes() const {
    return static_cast<std::size_t>(problem_.destination.elements()) * size_of(problem_.type);
  }

  FoldedRun run_;
  ConvProblem problem_;
  ConvChoice choice_;
  std::unique_ptr<ConvPart> part_;
  AlignedBytes inner_;  // weights as the part wants them
  AlignedBytes plain_;  // or in plain order, if it takes them so
  AlignedBytes shifts_;
  bool finite_ = true;
  KernelNeeds needs_;
  Binding bound_;
};

}  // namespace

ConvProblem folded_problem(const KernelRequest& request) {
  const FoldedRun run = folded_run(request.unit.layers);
  ConvProblem problem = conv_problem(request);
  problem.op.bias = true;
  problem.inference = true;
  problem.adds = run.adds;
  problem.activation = run.activation;
  return problem;
}

std::unique_ptr<Kernel> make_folded_conv(const KernelRequest& request, const ConvChoice& choice,
                                         const ConvTools& tools) {
  return std::make_unique<FoldedConv>(request, choice, tools);
}

}  // namespace descent
