#include "cuda/library/weight_gradient.h"

#include "cuda/gather.h"
#include "cuda/library_steps.h"
#include "cuda/weight_products.h"
#include "descent/error.h"
#include "plan/space.h"

#include <optional>
#include <utility>

namespace descent {

namespace {

constexpr auto weights_direction = Direction::backward_weights;

// cuDNN's order and type are not always the parameters'; f32 of one tap lie in memory as they should.
bool needs_restoring(const ConvGraph::Problem& problem) {
  return problem.weight_gradient != DType::f32 || order_of(problem).taps != 1 || problem.zero_channels != 0;
}

class GraphWeightGradient final : public WeightGradient {
 public:
  GraphWeightGradient(const ConvGraph::Problem& problem, ConvGraph graph)
      : order_(order_of(problem)),
        type_(problem.weight_gradient),
        restores_(needs_restoring(problem)),
        graph_(std::move(graph)) {
    Space scratch;
    gradient_at_ = scratch.take(restores_ ? static_cast<std::size_t>(order_.padded_elements()) * size_of(type_)
                                          : std::size_t{0});
    workspace_at_ = scratch.take(graph_.workspace_bytes());
    scratch_bytes_ = scratch.bytes();
  }

  [[nodiscard]] std::string implementation() const override { return "cudnn: " + graph_.engine(); }
  [[nodiscard]] std::size_t scratch_bytes() const override { return scratch_bytes_; }

  void bind(void* x, void* dz, float* dw, void* scratch) override {
    const auto within = [&](std::size_t at) -> void* {
      return scratch == nullptr ? nullptr : static_cast<std::byte*>(scratch) + at;
    };
    dw_ = dw;
    written_ = restores_ ? within(gradient_at_) : dw;
    graph_.bind({.source = x, .destination = dz, .weights = written_}, within(workspace_at_));
  }

  void run(const CudaContext& context, const LibraryHandles& handles) override {
    graph_.run(handles);
    if (restores_) restore_gradient(context, order_, type_, written_, dw_);
  }

 private:
  WeightOrder order_;
  DType type_;
  bool restores_;
  ConvGraph graph_;
  std::size_t gradient_at_ = 0;
  std::size_t workspace_at_ = 0;
  std::size_t scratch_bytes_ = 0;
  void* written_ = nullptr;
  float* dw_ = nullptr;
};

class OwnWeightGradient final : public WeightGradient {
 public:
  OwnWeightGradient(const Gather& forward, int zero_channels)
      : products_(forward, forward.in - zero_channels) {}

  [[nodiscard]] std::string implementation() const override { return "own"; }
  [[nodiscard]] std::size_t scratch_bytes() const override { return products_.partial_bytes(); }

  void bind(void* x, void* dz, float* dw, void* scratch) override {
    x_ = static_cast<const Bf16*>(x);
    dz_ = static_cast<const Bf16*>(dz);
    dw_ = dw;
    partial_ = static_cast<float*>(scratch);
  }

  void run(const CudaContext& context, const LibraryHandles& /*handles*/) override {
    products_.run(context, x_, dz_, partial_, dw_);
  }

 private:
  WeightProducts products_;
  const Bf16* x_ = nullptr;
  const Bf16* dz_ = nullptr;
  float* dw_ = nullptr;
  float* partial_ = nullptr;
};

// Nothing where descent's own kernel does not do it.
std::optional<Gather> own_gather(const ConvTools& tools, const ConvGraph::Problem& problem) {
  if (!tools.own_kernels || problem.type != DType::bf16) return std::nullopt;
  try {
    const Gather forward = forward_gather(problem.op, problem.source, problem.destination);
    if (WeightProducts::suits(tools.context, forward)) return forward;
  } catch (const Error&) {  // too large for it
  }
  return std::nullopt;
}

// The weight gradient in f32, or in the activations' type if cuDNN has it in that alone.
// Descent's own first: among deterministic engines cuDNN's heuristics prefer ones that take many times as long.
std::unique_ptr<WeightGradient> by_rule(const ConvTools& tools, ConvGraph::Problem problem) {
  if (const auto forward = own_gather(tools, problem))
    return std::make_unique<OwnWeightGradient>(*forward, problem.zero_channels);
  auto graph = make_graph(tools, weights_direction, problem, {});
  if (!graph && problem.type != DType::f32) {
    problem.weight_gradient = problem.type;
    graph = make_graph(tools, weights_direction, problem, {});
  }
  if (!graph) return nullptr;
  return std::make_unique<GraphWeightGradient>(problem, std::move(*graph));
}

// Graph and restoring together, as steps run them.
std::optional<TimedEngine> fastest_graph(const ConvTools& tools, const ConvGraph::Problem& problem) {
  float* restored = nullptr;  // one for all engines
  const AfterGraph restore = [&](TrialMemory& memory, void* weights) -> std::function<void()> {
    const WeightOrder order = order_of(problem);
    if (restored == nullptr) {
      restored = static_cast<float*>(memory.take(static_cast<std::size_t>(order.elements()) * sizeof(float)));
    }
    return [&context = tools.context, order, type = problem.weight_gradient, weights, to = restored] {
      restore_gradient(context, order, type, weights, to);
    };
  };
  return fastest_engine(tools, weights_direction, problem, needs_restoring(problem) ? restore : AfterGraph());
}

double own_seconds(const ConvTools& tools, const ConvGraph::Problem& problem, const Gather& forward) {
  TrialMemory memory(tools.context);
  std::optional<OwnWeightGradient> own;
  const std::string whose = " own";
  const auto prepare = [&]() -> std::function<void()> {
    own.emplace(forward, problem.zero_channels);
    own->bind(memory.take(TensorDesc{problem.type, problem.source}.bytes()),
              memory.take(TensorDesc{problem.type, problem.destination}.bytes()),
              static_cast<float*>(
                  memory.take(static_cast<std::size_t>(order_of(problem).elements()) * sizeof(float))),
              memory.take(own->scratch_bytes()));
    return [&own, &tools] { own->run(tools.context, tools.handles); };
  };
  return tools.tuner.seconds(graph_name(tools, weights_direction, problem) + whose, prepare,
                             graph_like(tools, weights_direction, problem, whose));
}

}  // namespace

std::unique_ptr<WeightGradient> make_weight_gradient(const ConvTools& tools,
                                                     const ConvGraph::Problem& problem) {
  if (!tools.tuner.measures()) return by_rule(tools, problem);
  // A gradient rounded to bf16 must be worth its lost digits.
  constexpr double worth = 1.05;
  ConvGraph::Problem chosen = problem;
  auto best = fastest_graph(tools, chosen);
  if (problem.type != DType::f32) {
    ConvGraph::Problem rounded = problem;
    rounded.weight_gradient = problem.type;
    const auto other = fastest_graph(tools, rounded);
    if (other && (!best || worth * other->seconds < best->seconds)) {
      best = other;
      chosen = rounded;
    }
  }
  if (const auto forward = own_gather(tools, problem)) {
    const double seconds = own_seconds(tools, problem, *forward);
    if (seconds < (best ? best->seconds : CudaTuner::never))
      return std::make_unique<OwnWeightGradient>(*forward, problem.zero_channels);
  }
  if (!best) return nullptr;
  auto graph = make_graph(tools, weights_direction, chosen, best->engine);
  if (!graph) return nullptr;
  return std::make_unique<GraphWeightGradient>(chosen, std::move(*graph));
}

}  // namespace descent
