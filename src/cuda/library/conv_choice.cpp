#include "cuda/library/conv_choice.h"

#include "plan/measured_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace descent {

namespace {

// Of those that can be built: to build one takes from milliseconds to tenths of a second.
constexpr std::size_t most_engines = 8;

// What engines of one problem are timed on; allocated once something is to be timed.
class Trial {
 public:
  Trial(const CudaContext& context, const ConvGraph::Problem& problem) : memory_(context), problem_(problem) {}

  TrialMemory& memory() { return memory_; }

  const ConvGraph::Operands& operands() {
    if (operands_.source != nullptr) return operands_;
    const auto tensor = [&](const Shape& shape) {
      return memory_.take(TensorDesc{problem_.type, shape}.bytes());
    };
    const auto weights = static_cast<std::size_t>(order_of(problem_).padded_elements());
    operands_.source = tensor(problem_.source);
    operands_.destination = tensor(problem_.destination);
    operands_.weights = memory_.take(weights * sizeof(float));  // whatever their type
    if (problem_.bias) operands_.bias = memory_.take(static_cast<std::size_t>(problem_.op.out) * sizeof(float));
    if (problem_.add) operands_.add = tensor(problem_.destination);
    return operands_;
  }

  void* workspace(std::size_t bytes) {
    if (bytes > workspace_.bytes()) workspace_ = DeviceBytes(bytes);
    return workspace_.as();
  }

 private:
  TrialMemory memory_;
  const ConvGraph::Problem& problem_;
  ConvGraph::Operands operands_;
  DeviceBytes workspace_;
};

}  // namespace

WeightOrder order_of(const ConvGraph::Problem& problem) {
  const auto inputs = static_cast<int>(problem.source[1] / problem.op.groups);
  return {static_cast<int>(problem.op.out), inputs - problem.zero_channels,
          static_cast<int>(problem.op.kernel.height * problem.op.kernel.width), inputs};
}

std::string graph_name(const ConvTools& tools, Direction direction, const ConvGraph::Problem& problem) {
  std::string text = fmt::format("cudnn {} {}{} {}", direction_name(direction), name(problem.type),
                                 tools.context.tf32 ? " as tf32" : "",
                                 conv_name(problem.op, problem.source, problem.destination));
  if (direction == Direction::backward_weights)
    return text.append(" in ").append(name(problem.weight_gradient));
  if (problem.bias) text += ", bias";
  if (problem.add) text += ", add";
  if (problem.leak) text += *problem.leak == 0 ? ", relu" : ", leaky relu";
  return text;
}

CudaTuner::Likeness graph_like(const ConvTools& tools, Direction direction, const ConvGraph::Problem& problem,
                               const std::string& after) {
  return tools.timed_batch.like([&](const TimedBatch& batch) {
    ConvGraph::Problem timed = problem;
    timed.source = batch.of(problem.source);
    timed.destination = batch.of(problem.destination);
    return graph_name(tools, direction, timed) + after;
  });
}

std::optional<TimedEngine> fastest_engine(const ConvTools& tools, Direction direction,
                                          const ConvGraph::Problem& problem, const AfterGraph& after) {
  const std::string key = graph_name(tools, direction, problem);
  std::vector<ConvGraph> built;  // if they are listed now
  const auto list = [&] {
    built = ConvGraph::all(tools.handles, tools.context, direction, problem, most_engines);
    std::vector<std::string> names;
    for (const ConvGraph& graph : built) names.push_back(graph.engine());
    return names;
  };
  const std::vector<std::string> engines = tools.tuner.names(key, list, graph_like(tools, direction, problem));
  if (engines.empty()) return std::nullopt;

  Trial trial(tools.context, problem);
  std::optional<ConvGraph> made;
  TimedEngine best{{}, CudaTuner::never};
  for (const std::string& engine : engines) {
    const auto prepare = [&]() -> std::function<void()> {
      const auto found = std::ranges::find(built, engine, &ConvGraph::engine);
      ConvGraph* graph = found != built.end() ? &*found : nullptr;
      if (graph == nullptr) {
        made = ConvGraph::make(tools.handles, tools.context, direction, problem, engine);
        if (!made) return {};
        graph = &*made;
      }
      graph->bind(trial.operands(), trial.workspace(graph->workspace_bytes()));
      const auto next = after ? after(trial.memory(), trial.operands().weights) : std::function<void()>();
      return [&handles = tools.handles, graph, next] {
        graph->run(handles);
        if (next) next();
      };
    };
    const std::string of_engine = " " + engine;
    const double seconds =
        tools.tuner.seconds(key + of_engine, prepare, graph_like(tools, direction, problem, of_engine));
    if (seconds < best.seconds) best = {engine, seconds};
  }
  return best;
}

std::optional<ConvGraph> make_graph(const ConvTools& tools, Direction direction,
                                    const ConvGraph::Problem& problem, const std::string& engine) {
  auto graph = ConvGraph::make(tools.handles, tools.context, direction, problem, engine);
  if (graph || engine.empty()) return graph;
  return ConvGraph::make(tools.handles, tools.context, direction, problem);
}

std::optional<ConvGraph> choose_graph(const ConvTools& tools, Direction direction,
                                      const ConvGraph::Problem& problem) {
  if (!tools.tuner.measures()) return make_graph(tools, direction, problem, {});
  const auto best = fastest_engine(tools, direction, problem);
  if (!best) return std::nullopt;
  return make_graph(tools, direction, problem, best->engine);
}

}  // namespace descent
