#include "cpu/tuner.h"

#include "cpu/aligned.h"
#include "cpu/library_kernels.h"
#include "descent/network.h"
#include "plan/trial_binding.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace descent {

namespace {

// What a step by rule costs, in place of seconds: any reorder is dearer than any choice of implementation.
constexpr double rule_reorder_cost = 1000;

// What a primitive for inference does besides the convolution.
std::string after_key(const ConvProblem& problem) {
  if (!problem.inference) return {};
  std::string text = problem.adds ? " inference add" : " inference";
  if (!problem.activation) return text;
  text += problem.activation->leak == 0 ? " relu" : " leaky relu";
  if (problem.activation->sub != 0) text += " sub";
  if (problem.activation->maxv) text += " max";
  return text;
}

std::string conv_key(const ConvProblem& problem, Direction direction) {
  return fmt::format("conv {} {} {}", direction_name(direction), name(problem.type),
                     conv_name(problem.op, problem.source, problem.destination)) +
         after_key(problem);
}

// Pairs of inner layouts worth trying, best first by rule.
std::vector<ConvChoice> conv_candidates(const ConvProblem& problem) {
  std::vector<ConvChoice> candidates;
  for (const Layout layout : fitting_layouts(problem.destination)) {
    if (has_pictures_innermost(layout)) continue;  // unknown to the library's convolutions
    if (layout_fits(problem.source, layout)) {
      candidates.push_back({layout, layout});
    } else if (layout == nchw16c || layout == nchw8c) {
      candidates.push_back({nchw, layout});  // few input channels: the library's "first convolution"
    }
  }
  return candidates;
}

// Memory for a kernel to be timed on, with small numbers in it. Pages that nobody ever wrote are all one page
// of zeros: kernels would find everything in the first cache, or, where that tells lines apart by their
// addresses in the program, nothing.
AlignedBytes written(std::size_t bytes) {
  constexpr int byte = 0x3c;  // four of them are 0.0115 in f32, two in bf16
  AlignedBytes memory(bytes);
  if (bytes > 0) std::memset(memory.data(), byte, bytes);
  return memory;
}

// What the library describes and then cannot make is never chosen.
double time_conv(const ConvTools& tools, const ConvProblem& problem, Direction direction,
                 const ConvChoice& choice, Stopwatch& stopwatch, double rival) {
  constexpr double never = 1e9;
  const std::unique_ptr<ConvPart> made = make_conv_part(tools, problem, direction, choice);
  if (!made) return never;
  ConvPart& part = *made;
  const auto bytes = [](const Shape& shape, DType type) { return TensorDesc{type, shape}.bytes(); };
  const AlignedBytes source = written(bytes(problem.source, problem.type));
  const AlignedBytes destination = written(bytes(problem.destination, problem.type));
  const AlignedBytes weights = written(bytes(problem.weights(), DType::f32));
  const AlignedBytes bias = written(static_cast<std::size_t>(problem.op.out) * sizeof(float));
  const AlignedBytes residual = written(problem.adds ? bytes(problem.destination, problem.type) : 0);
  const AlignedBytes inner = written(part.inner_bytes());
  const AlignedBytes scratchpad = written(part.scratchpad_bytes());
  part.bind({source.data(), destination.data(), weights.data(), bias.data(), inner.data(), scratchpad.data(),
             residual.data()});
  part.derive();
  const auto run = [&] {
    if (!problem.inference) part.derive();
    part.run();
  };
  return stopwatch.shortest(run, rival);
}

std::string copy_key(const TensorDesc& from, Format to) {
  return fmt::format("copy {} {} to {}", shape_name(from.shape), format_name(from.format()), format_name(to));
}

}  // namespace

double Tuner::reorder_seconds(const TensorDesc& from, Format to) {
  if (same_bytes_in(from, to)) return 0;
  if (!measures()) return rule_reorder_cost;
  const auto measure = [&] {
    const std::unique_ptr<Kernel> kernel = make_reorder(from, to, false, onednn_, context_);
    const AlignedBytes source = written(from.bytes());
    const AlignedBytes destination = written(from.in(to).bytes());
    const AlignedBytes scratch = written(kernel->needs().scratch_bytes);
    Binding binding;
    binding.inputs = {source.data()};
    binding.input_gradients = {nullptr};
    binding.output = destination.data();
    binding.scratch = scratch.data();
    kernel->bind(binding);
    return timing_->stopwatch.shortest([&] { kernel->forward({}); });
  };
  const auto as_timed = [&](const TimedBatch& batch) { return copy_key(batch.of(from), to); };
  return timing_->measurements.seconds(copy_key(from, to), measure, timed_batch_.like(as_timed));
}

bool Tuner::offers(const std::string& key, const std::function<bool()>& make) {
  if (!measures()) return make();
  const auto list = [&] { return make() ? std::vector<std::string>{"library"} : std::vector<std::string>{}; };
  return !timing_->measurements.names(key, list).empty();
}

std::vector<std::string> Tuner::implementations(const std::string& key, const ConvProblem& problem,
                                                Direction direction, const ConvChoice& choice) {
  const bool winograd = choices_.own && suits_winograd(problem, direction, choice);
  if (winograd && choices_.always_winograd) return {std::string(winograd_name)};
  std::vector<std::string> names;
  if (choices_.library) {
    constexpr std::size_t most_implementations = 4;  // of the library's list, for one pair of layouts
    const std::size_t most = !measures() ? 1 : most_implementations;
    const auto list = [&] { return library_implementations(onednn_, problem, direction, choice, most); };
    names = !measures() ? list() : timing_->measurements.names(key, list);
  }
  // By rule the library is preferred, or a kernel for the whole unit.
  if (winograd && measures()) names.emplace_back(winograd_name);
  return names;
}

const std::vector<Tuner::Timed>& Tuner::conv_times(const ConvProblem& problem, Direction direction) {
  const auto [entry, inserted] = conv_times_.try_emplace(conv_key(problem, direction));
  std::vector<Timed>& times = entry->second;
  if (!inserted) return times;
  double best = std::numeric_limits<double>::infinity();
  for (const ConvChoice& choice : conv_candidates(problem)) {
    const auto pair_key = [&](const ConvProblem& of) {
      return fmt::format("{} {} to {}", conv_key(of, direction), layout_name(choice.source),
                         layout_name(choice.destination));
    };
    const std::string pair = pair_key(problem);
    bool has_wide = false;
    for (const std::string& implementation : implementations(pair, problem, direction, choice)) {
      if (implementation.empty()) continue;  // in older plan files: what was missing
      // Narrower code of the same kind wins by a disturbed measurement at most.
      const auto has = [&](std::string_view set) { return implementation.find(set) != std::string::npos; };
      if (has_wide && (has("avx2") || has("sse41"))) continue;
      has_wide = has_wide || has("avx512");
      const ConvChoice one{choice.source, choice.destination, implementation};
      auto seconds = static_cast<double>(times.size());
      if (measures()) {
        const auto measure = [&] {
          return time_conv({onednn_, context_}, problem, direction, one, timing_->stopwatch, best);
        };
        const auto as_timed = [&](const TimedBatch& batch) {
          ConvProblem timed = problem;
          timed.source = batch.of(problem.source);
          timed.destination = batch.of(problem.destination);
          return pair_key(timed).append(" ").append(implementation);
        };
        const std::string name = fmt::format("{} {}", pair, implementation);
        seconds = timing_->measurements.seconds(name, measure, timed_batch_.like(as_timed));
        best = std::min(best, seconds);
      }
      times.push_back({one, seconds});
    }
  }
  return times;
}

std::vector<Tuner::BestConv> Tuner::inference_convs(const ConvProblem& problem) {
  std::vector<BestConv> found;
  for (const Timed& timed : conv_times(problem, Direction::forward)) {
    const auto same = std::find_if(found.begin(), found.end(), [&](const BestConv& other) {
      return other.choice.source == timed.choice.source && other.choice.destination == timed.choice.destination;
    });
    if (same == found.end()) {
      found.push_back({timed.choice, timed.seconds});
    } else if (timed.seconds < same->seconds) {
      *same = {timed.choice, timed.seconds};
    }
  }
  return found;
}

std::optional<Tuner::BestConv> Tuner::best_conv(const ConvProblem& problem, Direction direction, Layout source,
                                                Layout destination) {
  std::optional<BestConv> best;
  const bool reads_source = direction != Direction::backward_data;
  const bool reads_destination = direction != Direction::forward;
  for (const Timed& timed : conv_times(problem, direction)) {
    double seconds = timed.seconds;
    const auto through = [&](const Shape& shape, bool inwards, Layout outer, Layout inner) {
      const TensorDesc from{problem.type, shape, inwards ? outer : inner};
      seconds += reorder_seconds(from, {problem.type, inwards ? inner : outer});
    };
    through(problem.source, reads_source, source, timed.choice.source);
    through(problem.destination, reads_destination, destination, timed.choice.destination);
    if (!best || seconds < best->seconds) best = BestConv{timed.choice, seconds};
  }
  return best;
}

double Tuner::kernel_seconds(const KernelRequest& request, const std::string& kernel,
                             const std::function<std::unique_ptr<Kernel>()>& make) {
  if (!measures()) return 0;
  const std::string unit = unit_name(request);
  double& best = best_of_units_.try_emplace(unit, std::numeric_limits<double>::infinity()).first->second;
  const auto measure = [&] {
    const std::unique_ptr<Kernel> made = make();
    std::vector<AlignedBytes> owners;
    made->bind(trial_binding(request, made->needs(),
                             [&](std::size_t bytes) { return owners.emplace_back(written(bytes)).data(); }));
    made->refresh();
    const bool trains = request.plan.mode == Mode::train;
    const auto run = [&] {
      made->forward({});
      if (trains) made->backward({});
    };
    return timing_->stopwatch.shortest(run, best);
  };
  const auto as_timed = [&](const TimedBatch& batch) { return unit_name(batch.of(request)) + ", " + kernel; };
  const double seconds =
      timing_->measurements.seconds(unit + ", " + kernel, measure, timed_batch_.like(as_timed));
  best = std::min(best, seconds);
  return seconds;
}

}  // namespace descent
