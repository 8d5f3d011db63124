// Values between the parts lie in the kernel's saved memory where a backward reads them, else in its scratch.
#include "cpu/sequence.h"

#include "descent/error.h"
#include "descent/network.h"
#include "plan/space.h"

#include <algorithm>
#include <utility>

namespace descent {

namespace {

Unit part_of(const Unit& whole, std::size_t begin, std::size_t end) {
  Unit part;
  for (std::size_t i = begin; i < end; ++i) {
    part.layers.push_back(whole.layers[i]);
    part.indices.push_back(whole.indices[i]);
  }
  const auto output_of = [&](std::size_t layer) -> ValueId { return whole.indices[layer] + 1; };
  part.output = output_of(end - 1);
  part.inputs = begin == 0 ? whole.inputs : std::vector{output_of(begin - 1)};
  return part;
}

class SequenceKernel final : public Kernel {
 public:
  explicit SequenceKernel(std::vector<SequencePart> parts)
      : parts_(std::move(parts)), between_(parts_.size() - 1) {
    training_ = parts_.front().part.request.plan.mode == Mode::train;
    const KernelNeeds& first = needs_of(0);
    const KernelNeeds& last = needs_of(parts_.size() - 1);
    needs_.inputs = first.inputs;
    needs_.output = last.output;
    needs_.backward_reads_inputs = first.backward_reads_inputs;
    needs_.backward_reads_output = last.backward_reads_output;
    Space saved;
    Space scratch;
    std::size_t own_scratch = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      saved_at_.push_back(saved.take(needs_of(i).saved_bytes));
      own_scratch = std::max(own_scratch, needs_of(i).scratch_bytes);
    }
    (void)scratch.take(own_scratch);
    for (std::size_t i = 0; i < between_.size(); ++i) place(i, saved, scratch);
    needs_.saved_bytes = saved.bytes();
    needs_.scratch_bytes = scratch.bytes();
  }

  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }

  void bind(const Binding& binding) override {
    std::size_t parameter = 0;
    std::size_t gradient = 0;
    std::size_t statistic = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      Binding own;
      const bool first = i == 0;
      const bool last = i + 1 == parts_.size();
      own.inputs = first ? binding.inputs : std::vector{value(binding, i - 1)};
      own.output = last ? binding.output : value(binding, i);
      own.input_gradients = first ? binding.input_gradients : std::vector{gradient_of(binding, i - 1)};
      own.output_gradient = last ? binding.output_gradient : gradient_of(binding, i);
      own.saved = static_cast<std::byte*>(binding.saved) + saved_at_[i];
      own.scratch = binding.scratch;
      for (const Layer* layer : parts_[i].part.unit->layers) {
        for (const ParameterSpec& spec : parameters_of(layer->op, layer->input)) {
          if (spec.kind == ParameterSpec::Kind::statistic) take(binding.statistics, statistic, own.statistics);
          if (spec.kind != ParameterSpec::Kind::trained) continue;
          take(binding.parameters, parameter, own.parameters);
          take(binding.parameter_gradients, gradient, own.parameter_gradients);
        }
      }
      parts_[i].kernel->bind(own);
    }
  }

  void refresh() override {
    for (const SequencePart& part : parts_) part.kernel->refresh();
  }
  void forward(const StepContext& context) override {
    for (const SequencePart& part : parts_) part.kernel->forward(context);
  }
  void backward(const StepContext& context) override {
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) part->kernel->backward(context);
  }

  [[nodiscard]] OperationReport report_forward() const override {
    OperationReport sum;
    for (const SequencePart& part : parts_) add(part.kernel->report_forward(), sum);
    return sum;
  }
  [[nodiscard]] OperationReport report_backward() const override {
    OperationReport sum;
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) add(part->kernel->report_backward(), sum);
    return sum;
  }

 private:
  // Where the value between two parts lies, and its gradient.
  struct Between {
    bool saved = false;
    bool is_next = false;  // the next part works in place
    std::size_t at = 0;
    std::size_t gradient_at = 0;
  };

  [[nodiscard]] const KernelNeeds& needs_of(std::size_t part) const { return parts_[part].kernel->needs(); }

  void place(std::size_t i, Space& saved, Space& scratch) {
    const KernelNeeds& before = needs_of(i);
    const KernelNeeds& after = needs_of(i + 1);
    if (after.inputs.size() != 1 || after.inputs.front() != before.output || after.gradient_is_shared ||
        (i == 0 && (before.output_is_input || before.gradient_is_shared))) {
      throw Error("the unit " + parts_[i].part.unit->name() + " cannot be followed within a sequence",
                  Fault::failure);
    }
    const TensorDesc value = parts_[i].part.request.output.in(before.output);
    Between& between = between_[i];
    between.is_next = after.output_is_input;
    between.saved = training_ && (before.backward_reads_output || after.backward_reads_inputs);
    if (!between.is_next) between.at = (between.saved ? saved : scratch).take(value.bytes());
    if (training_) between.gradient_at = scratch.take(value.bytes());
  }

  [[nodiscard]] void* value(const Binding& binding, std::size_t i) const {
    const Between& between = between_[i];
    if (between.is_next) return i + 1 == between_.size() ? binding.output : value(binding, i + 1);
    return static_cast<std::byte*>(between.saved ? binding.saved : binding.scratch) + between.at;
  }
  [[nodiscard]] void* gradient_of(const Binding& binding, std::size_t i) const {
    return training_ ? static_cast<std::byte*>(binding.scratch) + between_[i].gradient_at : nullptr;
  }

  static void take(const std::vector<void*>& from, std::size_t& next, std::vector<void*>& to) {
    if (next < from.size()) to.push_back(from[next++]);
  }

  // Work adds up; what differs stands side by side.
  static void add(const OperationReport& part, OperationReport& sum) {
    if (part.operation.empty()) return;
    const auto join = [](const std::string& text, std::string& joined) {
      if (joined.empty()) {
        joined = text;
      } else if (text != joined && !joined.ends_with(" + " + text)) {
        joined += " + " + text;
      }
    };
    join(part.operation, sum.operation);
    join(part.implementation, sum.implementation);
    join(part.layout, sum.layout);
    sum.flops += part.flops;
    sum.bytes += part.bytes;
  }

  std::vector<SequencePart> parts_;
  std::vector<Between> between_;
  std::vector<std::size_t> saved_at_;
  bool training_ = false;
  KernelNeeds needs_;
};

}  // namespace

UnitPart::UnitPart(const KernelRequest& whole, std::size_t begin, std::size_t end)
    : unit(std::make_shared<const Unit>(part_of(whole.unit, begin, end))),
      request{*unit, whole.plan, whole.inputs, whole.output, whole.input_gradients} {
  const auto between = [&](std::size_t layer) {
    return TensorDesc{whole.output.type, whole.unit.layers[layer]->output.with_batch(whole.plan.batch)};
  };
  if (begin > 0) {
    request.inputs = {between(begin - 1)};
    request.input_gradients = {whole.plan.mode == Mode::train};
    request.input_is_free = whole.plan.mode != Mode::train;
  }
  if (end == whole.unit.layers.size()) {
    request.mean_is_removed = whole.mean_is_removed;
    return;
  }
  request.output = between(end - 1);
  request.mean_is_removed =
      whole.plan.mode == Mode::train && std::holds_alternative<BatchNorm>(whole.unit.layers[end]->op);
}

std::unique_ptr<Kernel> make_sequence(std::vector<SequencePart> parts) {
  if (parts.size() == 1) return std::move(parts.front().kernel);
  return std::make_unique<SequenceKernel>(std::move(parts));
}

}  // namespace descent
