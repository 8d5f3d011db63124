#include "cuda/library/conv_graph.h"

#include "cuda/library/handles.h"

#include <cudnn_frontend.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <utility>
#include <vector>

namespace descent {

namespace {

namespace fe = cudnn_frontend;
using Attributes = fe::graph::Tensor_attributes;
using TensorRef = std::shared_ptr<Attributes>;

// Names of the tensors in the pack of addresses that goes with every execution.
constexpr std::int64_t source_id = 1;
constexpr std::int64_t destination_id = 2;
constexpr std::int64_t weights_id = 3;
constexpr std::int64_t bias_id = 4;
constexpr std::int64_t add_id = 5;

// More is not worth its memory: an engine with less is taken then.
constexpr std::int64_t most_workspace = std::int64_t{512} << 20U;

fe::DataType_t type_of(DType type) {
  return type == DType::bf16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::FLOAT;
}

// cuDNN names dimensions N, C, H, W whatever their order in memory, which the strides give.
Attributes channels_last(const char* name, std::int64_t id, const Shape& shape, DType type) {
  const std::int64_t c = shape[1];
  const std::int64_t h = shape[2];
  const std::int64_t w = shape[3];
  Attributes attributes;
  attributes.set_name(name)
      .set_uid(id)
      .set_dim({shape[0], c, h, w})
      .set_stride({h * w * c, 1, w * c, c})
      .set_data_type(type_of(type));
  return attributes;
}

void make_output(const TensorRef& tensor, const Attributes& like) {
  tensor->set_name(like.get_name())
      .set_uid(like.get_uid())
      .set_dim(like.get_dim())
      .set_stride(like.get_stride())
      .set_data_type(like.get_data_type())
      .set_output(true);
}

template <class ConvAttributes>
ConvAttributes conv_attributes(const Conv& op) {
  ConvAttributes attributes;
  attributes.set_name("conv")
      .set_compute_data_type(fe::DataType_t::FLOAT)
      .set_padding({op.padding.height, op.padding.width})
      .set_stride({op.stride.height, op.stride.width})
      .set_dilation({op.dilation.height, op.dilation.width});
  return attributes;
}

fe::graph::Pointwise_attributes pointwise(const char* name, fe::PointwiseMode_t mode) {
  fe::graph::Pointwise_attributes attributes;
  attributes.set_name(name).set_compute_data_type(fe::DataType_t::FLOAT).set_mode(mode);
  return attributes;
}

Shape weights_shape(const ConvGraph::Problem& problem) {
  return {problem.op.out, problem.source[1] / problem.op.groups, problem.op.kernel.height,
          problem.op.kernel.width};
}

void describe_forward(fe::graph::Graph& graph, const ConvGraph::Problem& problem) {
  const TensorRef x = graph.tensor(channels_last("x", source_id, problem.source, problem.type));
  const TensorRef w = graph.tensor(channels_last("w", weights_id, weights_shape(problem), problem.type));
  TensorRef y = graph.conv_fprop(x, w, conv_attributes<fe::graph::Conv_fprop_attributes>(problem.op));
  if (problem.bias) {
    const std::int64_t channels = problem.destination[1];
    const TensorRef b = graph.tensor(channels_last("b", bias_id, {1, channels, 1, 1}, DType::f32));
    y = graph.pointwise(y, b, pointwise("bias", fe::PointwiseMode_t::ADD));
  }
  if (problem.add) {
    const TensorRef z = graph.tensor(channels_last("z", add_id, problem.destination, problem.type));
    y = graph.pointwise(y, z, pointwise("add", fe::PointwiseMode_t::ADD));
  }
  if (problem.leak) {
    auto relu = pointwise("relu", fe::PointwiseMode_t::RELU_FWD);
    if (*problem.leak != 0) relu.set_relu_lower_clip_slope(*problem.leak);
    y = graph.pointwise(y, relu);
  }
  make_output(y, channels_last("y", destination_id, problem.destination, problem.type));
}

void describe_backward_data(fe::graph::Graph& graph, const ConvGraph::Problem& problem) {
  const TensorRef dy = graph.tensor(channels_last("dy", destination_id, problem.destination, problem.type));
  const TensorRef w = graph.tensor(channels_last("w", weights_id, weights_shape(problem), problem.type));
  const TensorRef dx = graph.conv_dgrad(dy, w, conv_attributes<fe::graph::Conv_dgrad_attributes>(problem.op));
  make_output(dx, channels_last("dx", source_id, problem.source, problem.type));
}

void describe_backward_weights(fe::graph::Graph& graph, const ConvGraph::Problem& problem) {
  const TensorRef dy = graph.tensor(channels_last("dy", destination_id, problem.destination, problem.type));
  const TensorRef x = graph.tensor(channels_last("x", source_id, problem.source, problem.type));
  const TensorRef dw = graph.conv_wgrad(dy, x, conv_attributes<fe::graph::Conv_wgrad_attributes>(problem.op));
  make_output(dw, channels_last("dw", weights_id, weights_shape(problem), problem.weight_gradient));
}

// Deterministic ones alone; without tensor cores where f32 is to be multiplied as f32.
void select_engines(fe::graph::Graph& graph, bool tensor_cores) {
  std::vector<fe::NumericalNote_t> unwanted{fe::NumericalNote_t::NONDETERMINISTIC,
                                            fe::NumericalNote_t::REDUCED_PRECISION_REDUCTION};
  if (!tensor_cores) {
    // Of f32 they keep ten binary digits (TF32). Transforms lose some, too.
    for (const auto note : {fe::NumericalNote_t::TENSOR_CORE, fe::NumericalNote_t::DOWN_CONVERT_INPUTS,
                            fe::NumericalNote_t::FFT, fe::NumericalNote_t::WINOGRAD}) {
      unwanted.push_back(note);
    }
  }
  graph.deselect_numeric_notes(unwanted);
  graph.deselect_workspace_greater_than(most_workspace);
}

// Null if cuDNN cannot do it, which it says by a status, early or late: all mean the same here.
std::shared_ptr<fe::graph::Graph> describe(const LibraryHandles& handles, const CudaContext& context,
                                           Direction direction, const ConvGraph::Problem& problem,
                                           const std::vector<fe::HeurMode_t>& heuristics) {
  auto graph = std::make_shared<fe::graph::Graph>();
  graph->set_io_data_type(type_of(problem.type))
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  if (direction == Direction::forward) describe_forward(*graph, problem);
  if (direction == Direction::backward_data) describe_backward_data(*graph, problem);
  if (direction == Direction::backward_weights) describe_backward_weights(*graph, problem);
  if (graph->validate().is_bad()) return nullptr;
  if (graph->build_operation_graph(handles.cudnn()).is_bad()) return nullptr;
  if (graph->create_execution_plans(heuristics).is_bad()) return nullptr;
  select_engines(*graph, problem.type == DType::bf16 || context.tf32);
  return graph;
}

// A configuration of an engine; cuDNN's name holds all of it: "eng62_k2=7_k13=0".
struct Engine {
  std::int64_t index = 0;
  std::string name;
  std::size_t rank = 0;  // among the configurations of the same engine
};

// In the heuristics' order, each name once.
std::vector<Engine> engines_of(const fe::graph::Graph& graph) {
  std::vector<Engine> found;
  std::unordered_map<std::string, std::size_t> configurations;
  for (std::int64_t index = 0; index < graph.get_execution_plan_count(); ++index) {
    Engine engine{index, {}, 0};
    if (graph.get_plan_name_at_index(index, engine.name).is_bad()) continue;
    if (std::ranges::find(found, engine.name, &Engine::name) != found.end()) continue;
    engine.rank = configurations[engine.name.substr(0, engine.name.find('_'))]++;
    found.push_back(std::move(engine));
  }
  return found;
}

// For timing: what one list lacks another may have.
std::vector<fe::HeurMode_t> all_heuristics() {
  return {fe::HeurMode_t::A, fe::HeurMode_t::B, fe::HeurMode_t::FALLBACK};
}

}  // namespace

struct ConvGraph::Parts {
  std::shared_ptr<fe::graph::Graph> graph;
  std::int64_t plan = 0;
  std::size_t workspace_bytes = 0;
  std::string engine;
  std::unordered_map<std::int64_t, void*> addresses;
  void* workspace = nullptr;
  bool bias = false;
  bool add = false;

  // Null if the engine cannot be built, or was deselected.
  static std::unique_ptr<Parts> build(const std::shared_ptr<fe::graph::Graph>& graph, cudnnHandle_t handle,
                                      const Engine& engine, const Problem& problem) {
    if (graph->build_plan_at_index(handle, engine.index).is_bad()) return nullptr;
    std::int64_t bytes = 0;
    if (graph->get_workspace_size_plan_at_index(engine.index, bytes).is_bad()) return nullptr;
    auto parts = std::make_unique<Parts>();
    parts->graph = graph;
    parts->plan = engine.index;
    parts->workspace_bytes = static_cast<std::size_t>(bytes);
    parts->engine = engine.name;
    parts->bias = problem.bias;
    parts->add = problem.add;
    return parts;
  }
};

ConvGraph::ConvGraph(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ConvGraph::ConvGraph(ConvGraph&& other) noexcept = default;
ConvGraph& ConvGraph::operator=(ConvGraph&& other) noexcept = default;
ConvGraph::~ConvGraph() = default;

std::optional<ConvGraph> ConvGraph::make(const LibraryHandles& handles, const CudaContext& context,
                                         Direction direction, const Problem& problem,
                                         const std::string& engine) {
  const std::vector<fe::HeurMode_t> by_rule{fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK};
  try {
    const auto graph =
        describe(handles, context, direction, problem, engine.empty() ? by_rule : all_heuristics());
    if (graph == nullptr) return std::nullopt;
    for (const Engine& found : engines_of(*graph)) {
      if (!engine.empty() && found.name != engine) continue;
      if (auto parts = Parts::build(graph, handles.cudnn(), found, problem)) return ConvGraph(std::move(parts));
    }
  } catch (const fe::cudnnException&) {  // the frontend's older half says so what it cannot do
  }
  return std::nullopt;
}

std::vector<ConvGraph> ConvGraph::all(const LibraryHandles& handles, const CudaContext& context,
                                      Direction direction, const Problem& problem, std::size_t most) {
  // Seconds after which no more are built: some engines are compiled when they are.
  constexpr double patience = 0.3;
  std::vector<ConvGraph> built;
  try {
    const auto graph = describe(handles, context, direction, problem, all_heuristics());
    if (graph == nullptr) return built;
    // Two of every engine before any a third time: configurations of one engine differ less than engines do.
    std::vector<Engine> engines = engines_of(*graph);
    std::ranges::stable_sort(engines, {}, [](const Engine& engine) { return engine.rank / 2; });
    const auto begin = std::chrono::steady_clock::now();
    for (const Engine& engine : engines) {
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
      if (built.size() == most || (!built.empty() && spent.count() > patience)) break;
      auto parts = Parts::build(graph, handles.cudnn(), engine, problem);
      if (parts != nullptr) built.push_back(ConvGraph(std::move(parts)));
    }
  } catch (const fe::cudnnException&) {  // what was built before may do
  }
  return built;
}

std::size_t ConvGraph::workspace_bytes() const {
  return parts_->workspace_bytes;
}

const std::string& ConvGraph::engine() const {
  return parts_->engine;
}

void ConvGraph::bind(const Operands& operands, void* workspace) {
  parts_->workspace = workspace;
  parts_->addresses = {
      {source_id, operands.source}, {destination_id, operands.destination}, {weights_id, operands.weights}};
  if (parts_->bias) parts_->addresses.emplace(bias_id, operands.bias);
  if (parts_->add) parts_->addresses.emplace(add_id, operands.add);
}

void ConvGraph::run(const LibraryHandles& handles) {
  auto status =
      parts_->graph->execute_plan_at_index(handles.cudnn(), parts_->addresses, parts_->workspace, parts_->plan);
  if (status.is_bad()) {
    throw Error(fmt::format("cudnnBackendExecute failed: {}", status.get_message()), Fault::failure);
  }
}

}  // namespace descent
