// Convolution, each direction by the library or by Winograd's algorithm. Bound: arithmetic,
// 2·N·O·H·W·I/g·Kh·Kw operations a direction that is computed directly; `descent train --explain` prints each
// direction's rate on the machine at hand.
//
// Each direction may run between inner layouts that differ from those of the tensors around it, through
// private reorders: the library's fast code for one direction is not always fast for another.

#include "cpu/conv.h"
#include "cpu/aligned.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace descent {

namespace {

std::size_t aligned_size(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// A part with its private reorders. Scratch holds inner source, inner destination, inner weight gradient
// and the part's own scratchpad, one after the other.
class RoutedPart {
 public:
  RoutedPart(const ConvTools& tools, const ConvProblem& problem, Direction direction, const ConvChoice& choice,
             Layout source, Layout destination)
      : direction_(direction) {
    part_ = make_chosen_conv_part(tools, problem, direction, choice);
    const Onednn& onednn = tools.onednn;
    const bool reads_source = direction != Direction::backward_data;
    const bool reads_destination = direction != Direction::forward;
    route(source_, onednn, problem.source, problem.type, source, choice.source, reads_source);
    route(destination_, onednn, problem.destination, problem.type, destination, choice.destination,
          reads_destination);
    layout_text_ = change_name({problem.type, choice.source}, {problem.type, choice.destination});
    if (source_.reorder || destination_.reorder) layout_text_ += " (reordered)";
    weights_bytes_ = direction == Direction::backward_weights ? aligned_size(part_->inner_bytes()) : 0;
    std::size_t pad = part_->scratchpad_bytes();
    for (const Route* side : {&source_, &destination_}) {
      if (side->reorder) pad = std::max(pad, side->reorder->scratchpad_bytes());
    }
    scratch_bytes_ = source_.bytes + destination_.bytes + weights_bytes_ + pad;
    // Weights that were derived stay between steps; a weight gradient passes through scratch.
    if (direction != Direction::backward_weights) derived_ = AlignedBytes(part_->inner_bytes());
  }

  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }

  void bind(void* source, void* destination, void* weights, void* bias, void* scratch) {
    auto* inner_source = static_cast<std::byte*>(scratch);
    std::byte* inner_destination = inner_source + source_.bytes;
    std::byte* inner_weights = inner_destination + destination_.bytes;
    std::byte* pad = inner_weights + weights_bytes_;
    bind_side(source_, source, inner_source, pad, direction_ != Direction::backward_data);
    bind_side(destination_, destination, inner_destination, pad, direction_ != Direction::forward);
    part_->bind({source_.reorder ? inner_source : source,
                 destination_.reorder ? inner_destination : destination, weights, bias,
                 direction_ == Direction::backward_weights ? inner_weights : derived_.data(), pad});
  }

  void derive() const { part_->derive(); }

  void run(const Onednn& onednn) const {
    const bool reads_source = direction_ != Direction::backward_data;
    const bool reads_destination = direction_ != Direction::forward;
    if (source_.reorder && reads_source) source_.reorder->run(onednn);
    if (destination_.reorder && reads_destination) destination_.reorder->run(onednn);
    part_->run();
    if (source_.reorder && !reads_source) source_.reorder->run(onednn);
    if (destination_.reorder && !reads_destination) destination_.reorder->run(onednn);
  }

  [[nodiscard]] double flops() const { return part_->flops(); }
  [[nodiscard]] const std::string& implementation() const { return part_->implementation(); }
  [[nodiscard]] const std::string& layout_text() const { return layout_text_; }

 private:
  struct Route {
    std::optional<Reorder> reorder;
    std::size_t bytes = 0;
  };

  static void route(Route& side, const Onednn& onednn, const Shape& shape, DType type, Layout outer,
                    Layout inner, bool inwards) {
    if (same_order_in(shape, outer, inner)) return;
    const auto outer_desc = memory_desc(shape, type, outer);
    const auto inner_desc = memory_desc(shape, type, inner);
    side.reorder.emplace(onednn, inwards ? outer_desc : inner_desc, inwards ? inner_desc : outer_desc);
    side.bytes = aligned_size(inner_desc.get_size());
  }

  static void bind_side(Route& side, void* outer, void* inner, void* pad, bool inwards) {
    if (side.reorder) side.reorder->bind(inwards ? outer : inner, inwards ? inner : outer, pad);
  }

  Direction direction_;
  std::unique_ptr<ConvPart> part_;
  Route source_;
  Route destination_;
  std::size_t weights_bytes_ = 0;
  std::size_t scratch_bytes_ = 0;
  AlignedBytes derived_;
  std::string layout_text_;
};

class ConvKernel final : public Kernel {
 public:
  ConvKernel(const KernelRequest& request, Layout source, Layout destination, const ConvChoices& choices,
             const ConvTools& tools)
      : onednn_(tools.onednn),
        problem_(conv_problem(request)),
        forward_(tools, problem_, Direction::forward, choices.forward, source, destination) {
    needs_.inputs = {{problem_.type, source}};
    needs_.output = {problem_.type, destination};
    needs_.backward_reads_inputs = true;
    needs_.scratch_bytes = forward_.scratch_bytes();
    if (request.plan.mode != Mode::train) return;
    backward_weights_.emplace(tools, problem_, Direction::backward_weights, choices.backward_weights, source,
                              destination);
    needs_.scratch_bytes = std::max(needs_.scratch_bytes, backward_weights_->scratch_bytes());
    if (!request.input_gradients.front()) return;
    backward_data_.emplace(tools, problem_, Direction::backward_data, choices.backward_data, source,
                           destination);
    needs_.scratch_bytes = std::max(needs_.scratch_bytes, backward_data_->scratch_bytes());
  }

  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }

  void bind(const Binding& binding) override {
    void* input = binding.inputs.front();
    void* weights = binding.parameters.front();
    const bool has_bias = problem_.op.bias;
    forward_.bind(input, binding.output, weights, has_bias ? binding.parameters[1] : nullptr, binding.scratch);
    if (backward_weights_) {
      backward_weights_->bind(input, binding.output_gradient, binding.parameter_gradients.front(),
                              has_bias ? binding.parameter_gradients[1] : nullptr, binding.scratch);
    }
    if (backward_data_) {
      backward_data_->bind(binding.input_gradients.front(), binding.output_gradient, weights, nullptr,
                           binding.scratch);
    }
  }

  void refresh() override {
    forward_.derive();
    if (backward_data_) backward_data_->derive();
  }

  void forward(const StepContext& /*context*/) override { forward_.run(onednn_); }

  void backward(const StepContext& /*context*/) override {
    backward_weights_->run(onednn_);
    if (backward_data_) backward_data_->run(onednn_);
  }

  [[nodiscard]] OperationReport report_forward() const override {
    return report("conv forward", forward_.implementation(), forward_.layout_text(), 1, forward_.flops());
  }

  [[nodiscard]] OperationReport report_backward() const override {
    if (!backward_data_) {
      return report("conv backward weights", backward_weights_->implementation(),
                    backward_weights_->layout_text(), 1, backward_weights_->flops());
    }
    return report("conv backward weights, data",
                  backward_weights_->implementation() + ", " + backward_data_->implementation(),
                  backward_weights_->layout_text() + ", " + backward_data_->layout_text(), 2,
                  backward_weights_->flops() + backward_data_->flops());
  }

 private:
  [[nodiscard]] OperationReport report(std::string operation, std::string implementation, std::string layout,
                                       int directions, double flops) const {
    OperationReport report;
    report.operation = std::move(operation);
    report.implementation = std::move(implementation);
    report.layout = std::move(layout);
    report.flops = flops;
    const std::int64_t elements = problem_.source.elements() + problem_.destination.elements();
    report.bytes = directions * (static_cast<double>(elements) * static_cast<double>(size_of(problem_.type)) +
                                 static_cast<double>(problem_.weights().elements()) * sizeof(float));
    return report;
  }

  Onednn onednn_;
  ConvProblem problem_;
  KernelNeeds needs_;
  RoutedPart forward_;
  std::optional<RoutedPart> backward_weights_;
  std::optional<RoutedPart> backward_data_;
};

}  // namespace

ConvProblem conv_problem(const KernelRequest& request) {
  return {std::get<Conv>(request.unit.first().op), request.inputs.front().shape, request.output.shape,
          request.output.type};
}

std::unique_ptr<Kernel> make_conv(const KernelRequest& request, Layout source, Layout destination,
                                  const ConvChoices& choices, const ConvTools& tools) {
  return std::make_unique<ConvKernel>(request, source, destination, choices, tools);
}

}  // namespace descent
