#include "cpu/tuner.h"

#include "cpu/aligned.h"
#include "descent/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace descent {

namespace {

// What a step by rule costs, in place of seconds: any reorder is dearer than any choice of implementation.
constexpr double rule_reorder_cost = 1000;

// Shortest of a few runs after one warm-up; long ones are run less often.
double time_runs(const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  const auto once = [&] {
    const auto begin = Clock::now();
    run();
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  constexpr int most_runs = 7;
  constexpr double budget = 0.03;  // seconds
  const double first = once();
  if (first > 10 * budget) return first;  // hopeless: no second try
  double best = 1e30;
  double spent = 0;
  for (int i = 0; i < most_runs && (i < 2 || spent < budget); ++i) {
    const double seconds = once();
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

std::string describe(const Shape& shape) {
  std::string text;
  for (const std::int64_t dimension : shape.dimensions())
    text += fmt::format("{}{}", text.empty() ? "" : "x", dimension);
  return text;
}

std::string conv_key(const ConvProblem& problem, Direction direction) {
  const Conv& op = problem.op;
  return fmt::format("conv {} {} {} to {} kernel {}x{} stride {}x{} padding {}x{} dilation {}x{} groups {}{}",
                     direction_name(direction), name(problem.type), describe(problem.source),
                     describe(problem.destination), op.kernel.height, op.kernel.width, op.stride.height,
                     op.stride.width, op.padding.height, op.padding.width, op.dilation.height,
                     op.dilation.width, op.groups, op.bias ? " bias" : "");
}

// Pairs of inner layouts worth trying, best first by rule.
std::vector<ConvChoice> conv_candidates(const ConvProblem& problem) {
  std::vector<ConvChoice> candidates;
  for (const Layout layout : fitting_layouts(problem.destination)) {
    if (layout == n16chw) continue;  // unknown to the library's convolutions
    if (layout_fits(problem.source, layout)) {
      candidates.push_back({layout, layout});
    } else if (layout == nchw16c || layout == nchw8c) {
      candidates.push_back({nchw, layout});  // few input channels: the library's "first convolution"
    }
  }
  return candidates;
}

double time_conv(const Onednn& onednn, const ConvProblem& problem, ConvPart& part) {
  const auto bytes = [](const Shape& shape) {
    return static_cast<std::size_t>(shape.elements()) * sizeof(float);
  };
  AlignedBytes source(bytes(problem.source));
  AlignedBytes destination(bytes(problem.destination));
  AlignedBytes weights(bytes(problem.weights()));
  AlignedBytes bias(static_cast<std::size_t>(problem.op.out) * sizeof(float));
  AlignedBytes inner(part.inner_bytes());
  AlignedBytes scratchpad(part.scratchpad_bytes());
  part.bind({source.data(), destination.data(), weights.data(), bias.data(), inner.data(), scratchpad.data()});
  return time_runs([&] {
    part.derive(onednn);
    part.run(onednn);
  });
}

}  // namespace

double Tuner::reorder_seconds(const Shape& batched, DType type, Layout from, Layout to) {
  if (same_order_in(batched, from, to)) return 0;
  if (measurements_ == nullptr) return rule_reorder_cost;
  const std::string key =
      fmt::format("reorder {} {} {} to {}", name(type), describe(batched), layout_name(from), layout_name(to));
  return measurements_->seconds(key, [&] {
    const auto from_desc = memory_desc(batched, type, from);
    const auto to_desc = memory_desc(batched, type, to);
    Reorder reorder(onednn_, from_desc, to_desc);
    AlignedBytes source(from_desc.get_size());
    AlignedBytes destination(to_desc.get_size());
    AlignedBytes scratchpad(reorder.scratchpad_bytes());
    reorder.bind(source.data(), destination.data(), scratchpad.data());
    return time_runs([&] { reorder.run(onednn_); });
  });
}

const std::vector<Tuner::Timed>& Tuner::conv_times(const ConvProblem& problem, Direction direction) {
  const std::string key = conv_key(problem, direction);
  const auto [entry, inserted] = conv_times_.try_emplace(key);
  std::vector<Timed>& times = entry->second;
  if (!inserted) return times;
  constexpr int most_implementations = 4;  // of the library's list, for one pair of layouts
  for (ConvChoice choice : conv_candidates(problem)) {
    for (; choice.implementation < most_implementations; ++choice.implementation) {
      auto part = ConvPart::make(onednn_, problem, direction, choice);
      if (!part) continue;
      auto seconds = static_cast<double>(times.size());
      if (measurements_ != nullptr) {
        const std::string full = fmt::format("{} {} to {} {}", key, layout_name(choice.source),
                                             layout_name(choice.destination), part->implementation());
        seconds = measurements_->seconds(full, [&] { return time_conv(onednn_, problem, *part); });
      }
      times.push_back({choice, seconds});
      if (measurements_ == nullptr) break;  // by rule: the library's own first choice
    }
  }
  return times;
}

std::optional<Tuner::BestConv> Tuner::best_conv(const ConvProblem& problem, Direction direction, Layout source,
                                                Layout destination) {
  std::optional<BestConv> best;
  const bool reads_source = direction != Direction::backward_data;
  const bool reads_destination = direction != Direction::forward;
  for (const Timed& timed : conv_times(problem, direction)) {
    double seconds = timed.seconds;
    const auto through = [&](const Shape& shape, bool inwards, Layout outer, Layout inner) {
      seconds += inwards ? reorder_seconds(shape, problem.type, outer, inner)
                         : reorder_seconds(shape, problem.type, inner, outer);
    };
    through(problem.source, reads_source, source, timed.choice.source);
    through(problem.destination, reads_destination, destination, timed.choice.destination);
    if (!best || seconds < best->seconds) best = BestConv{timed.choice, seconds};
  }
  return best;
}

double Tuner::kernel_seconds(const std::string& key, const KernelRequest& request,
                             const std::function<std::unique_ptr<Kernel>()>& make) {
  if (measurements_ == nullptr) return 0;
  return measurements_->seconds(key + " " + describe(request.inputs.front().shape), [&] {
    const std::unique_ptr<Kernel> kernel = make();
    std::vector<AlignedBytes> owners;
    const auto allocate = [&](std::size_t bytes) { return owners.emplace_back(bytes).data(); };
    const bool training = request.plan.mode == Mode::train;
    Binding binding;
    for (const TensorDesc& input : request.inputs) binding.inputs.push_back(allocate(input.bytes()));
    binding.output = allocate(request.output.bytes());
    if (training) {
      for (std::size_t i = 0; i < request.inputs.size(); ++i) {
        binding.input_gradients.push_back(request.input_gradients[i] ? allocate(request.inputs[i].bytes())
                                                                     : nullptr);
      }
      binding.output_gradient = allocate(request.output.bytes());
    } else {
      binding.input_gradients.assign(request.inputs.size(), nullptr);
    }
    binding.saved = allocate(kernel->needs().saved_bytes);
    binding.scratch = allocate(kernel->needs().scratch_bytes);
    for (const Layer* layer : request.unit.layers) {
      for (const ParameterSpec& spec : parameters_of(layer->op, layer->input)) {
        const std::size_t bytes = static_cast<std::size_t>(spec.shape.elements()) * sizeof(float);
        if (spec.kind == ParameterSpec::Kind::statistic) binding.statistics.push_back(allocate(bytes));
        if (spec.kind != ParameterSpec::Kind::trained) continue;
        binding.parameters.push_back(allocate(bytes));
        if (training) binding.parameter_gradients.push_back(allocate(bytes));
      }
    }
    kernel->bind(binding);
    kernel->refresh();
    return time_runs([&] {
      kernel->forward({});
      if (training) kernel->backward({});
    });
  });
}

}  // namespace descent
