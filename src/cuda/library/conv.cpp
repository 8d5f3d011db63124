// Convolutions through cuDNN's graphs, channels last on both sides. Bound: arithmetic, 2·N·O·H·W·I/g·Kh·Kw
// operations a direction.
//
// Parameters stay f32 in O×I×H×W. Training brings them into the library's order and type before every forward;
// for answers that happens once, with batch normalisation folded in. In training a normalisation behind the
// convolution and its activation are our own passes over what the graph wrote.

#include "cuda/layouts.h"
#include "cuda/library/conv_choice.h"
#include "cuda/library/kernels.h"
#include "cuda/library/weight_gradient.h"
#include "cuda/library_steps.h"
#include "cuda/memory.h"
#include "cuda/norm_passes.h"
#include "cuda/side_stream.h"
#include "cuda/trained_norm.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

namespace descent {

namespace {

// conv [norm] [add] [activation]
struct ConvUnit {
  Conv conv;
  std::optional<BatchNorm> norm;
  bool adds = false;
  std::optional<GeneralRelu> activation;

  // Nothing if the unit holds anything else.
  [[nodiscard]] static std::optional<ConvUnit> of(const Unit& unit) {
    ConvUnit found{std::get<Conv>(unit.first().op), {}, false, {}};
    for (std::size_t i = 1; i < unit.layers.size(); ++i) {
      const Op& op = unit.layers[i]->op;
      const bool nothing_yet = !found.adds && !found.activation;
      if (const auto* const norm = std::get_if<BatchNorm>(&op); norm && nothing_yet && !found.norm) {
        found.norm = *norm;
      } else if (std::holds_alternative<Add>(op) && nothing_yet) {
        found.adds = true;
      } else if (const auto* const relu = std::get_if<GeneralRelu>(&op); relu && !found.activation) {
        found.activation = *relu;
      } else {
        return std::nullopt;
      }
    }
    return found;
  }
};

// The forward graph, and what is left to do behind it.
struct Forward {
  ConvGraph graph;
  bool shifts = false;  // are to be added by a pass of our own
  bool add = false;
  std::optional<GeneralRelu> activation;
};

// With as much of the ending within the graph as cuDNN can do there.
std::optional<Forward> make_forward(const ConvTools& tools, const ConvGraph::Problem& plain, bool shifts,
                                    bool adds, const std::optional<GeneralRelu>& activation) {
  ConvGraph::Problem whole = plain;
  whole.bias = shifts;
  whole.add = adds;
  const bool simple = activation && activation->sub == 0 && !activation->maxv;
  if (simple) whole.leak = static_cast<float>(activation->leak);
  if (shifts || adds || simple) {
    if (auto graph = choose_graph(tools, Direction::forward, whole)) {
      const auto left = simple ? std::nullopt : activation;
      return Forward{std::move(*graph), false, false, left};
    }
  }
  auto graph = choose_graph(tools, Direction::forward, plain);
  if (!graph) return std::nullopt;
  return Forward{std::move(*graph), shifts, adds, activation};
}

// In bf16 the fast engines, and descent's own products, want channels in packs of 16 bytes; a picture has
// three. Zeros beside them cost memory that is written once.
int zero_channels_for(const KernelRequest& request) {
  constexpr std::int64_t pack = 8;
  const Conv& op = std::get<Conv>(request.unit.first().op);
  if (request.output.type != DType::bf16 || op.groups != 1) return 0;
  const std::int64_t channels = request.inputs.front().shape[1];
  return channels < pack ? static_cast<int>(pack - channels) : 0;
}

Shape padded(const Shape& shape, int zero_channels) {
  return {shape[0], shape[1] + zero_channels, shape[2], shape[3]};
}

class ConvLibraryKernel final : public Kernel, public NormWriter {
 public:
  ConvLibraryKernel(const KernelRequest& request, const ConvUnit& unit, const ConvGraph::Problem& problem,
                    const ConvTools& tools, Forward forward)
      : context_(tools.context),
        handles_(tools.handles),
        side_handles_(tools.side_handles),
        unit_(unit),
        problem_(problem),
        trains_(request.plan.mode == Mode::train),
        bias_is_zero_(unit.norm || request.mean_is_removed),
        order_(order_of(problem)),
        forward_(std::move(forward)) {
    needs_.output = {problem.type, nhwc};
    needs_.inputs.assign(request.inputs.size(), needs_.output);
    Space scratch;
    if (!trains_) padded_at_ = scratch.take(padded_bytes());
    workspace_at_ = scratch.take(forward_.graph.workspace_bytes());
    needs_.scratch_bytes = scratch.bytes();
    if (derives()) weights_space_ = DeviceBytes(weight_bytes());
    if (folds()) shifts_space_ = DeviceBytes(static_cast<std::size_t>(order_.out) * sizeof(float));
  }

  void train(const KernelRequest& request, std::unique_ptr<WeightGradient> backward_weights,
             std::optional<ConvGraph> backward_data) {
    needs_.backward_reads_inputs = problem_.zero_channels == 0;
    backward_weights_ = std::move(backward_weights);
    backward_data_ = std::move(backward_data);
    Space saved;
    Space scratch;
    Space trailing;
    padded_at_ = saved.take(padded_bytes());
    if (unit_.norm) {
      const TrainedNormRequest norm{*unit_.norm, unit_.activation, request.output.in(needs_.output),
                                    unit_.conv.bias ? std::size_t{2} : std::size_t{1}};
      norm_ = make_trained_norm(context_, norm, saved, scratch, trailing);
    }
    std::size_t workspace = forward_.graph.workspace_bytes();
    if (backward_data_) workspace = std::max(workspace, backward_data_->workspace_bytes());
    workspace_at_ = scratch.take(workspace);
    weights_workspace_at_ = trailing.take(backward_weights_->scratch_bytes());
    bias_workspace_at_ = trailing.take(sums_bias() ? channel_total_bytes(rows(), order_.out) : std::size_t{0});
    needs_.saved_bytes = saved.bytes();
    needs_.scratch_bytes = scratch.bytes();
    needs_.trailing_bytes = trailing.bytes();
    needs_.backward_trails = backward_data_.has_value();
  }

  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }

  void bind(const Binding& binding) override {
    bound_ = binding;
    void* const weights = derives() ? weights_space_.as() : binding.parameters[0];
    void* written = binding.output;
    void* read = binding.output_gradient;
    if (norm_) {
      norm_->bind(binding);
      written = norm_->inner();
      read = norm_->inner_gradient();
    }
    void* const source = problem_.zero_channels > 0 ? padded_source() : binding.inputs[0];
    forward_.graph.bind({.source = source,
                         .destination = written,
                         .weights = weights,
                         .bias = shifts(),
                         .add = unit_.adds ? binding.inputs[1] : nullptr},
                        scratch(workspace_at_));
    if (!backward_weights_) return;
    backward_weights_->bind(source, read, gradient(0), trailing(weights_workspace_at_));
    if (!backward_data_) return;
    backward_data_->bind({.source = binding.input_gradients[0], .destination = read, .weights = weights},
                         scratch(workspace_at_));
  }

  void refresh() override {
    if (!trains_ && derives()) derive();
  }

  void forward(const StepContext& /*context*/) override {
    if (trains_ && derives()) derive();
    if (problem_.zero_channels > 0) {
      pad_channels(context_, problem_.type, problem_.source.elements() / order_.padded, order_.in,
                   order_.padded, bound_.inputs[0], padded_source());
    }
    forward_.graph.run(handles_);
    RowEnding ending;
    if (forward_.shifts) ending.shifts = shifts();
    if (forward_.add) ending.add = bound_.inputs[1];
    if (forward_.activation) ending.activation = ReluRule(*forward_.activation);
    if (forward_.shifts || forward_.add || forward_.activation) {
      end_rows(context_, problem_.type, rows(), order_.out, ending, norm_ ? norm_->inner() : bound_.output);
    }
    if (norm_) norm_->forward();
  }

  void backward(const StepContext& /*context*/) override {
    if (norm_) norm_->backward();
    if (!backward_data_) return parameter_gradients(context_, handles_);
    run_beside(context_, [this](const CudaContext& context) {
      parameter_gradients(context, context.stream == context_.stream ? handles_ : side_handles_);
    });
    backward_data_->run(handles_);
  }

  void complete(void* output) override {
    if (norm_) norm_->complete(output);
  }

  bool leave_output() override { return norm_ && norm_->leave_output(); }
  bool await_sums() override { return norm_ && norm_->await_sums(); }
  [[nodiscard]] std::size_t partial_bytes() const override { return norm_ ? norm_->partial_bytes() : 0; }
  [[nodiscard]] NormHandover handover() const override { return norm_->handover(); }

  [[nodiscard]] OperationReport report_forward() const override {
    return report("conv forward", "cudnn: " + forward_.graph.engine(), 1);
  }
  [[nodiscard]] OperationReport report_backward() const override {
    const std::string weights = backward_weights_->implementation();
    if (!backward_data_) return report("conv backward weights", weights, 1);
    const bool both = weights.starts_with("cudnn");  // whose name is then said once
    return report("conv backward weights, data",
                  weights + (both ? ", " : ", cudnn: ") + backward_data_->engine(), 2);
  }

 private:
  void parameter_gradients(const CudaContext& context, const LibraryHandles& handles) {
    backward_weights_->run(context, handles);
    if (sums_bias()) {
      channel_totals(context, problem_.type, bound_.output_gradient, rows(), order_.out, gradient(1),
                     trailing(bias_workspace_at_));
    } else if (unit_.conv.bias) {
      clear(context, gradient(1), order_.out);
    }
  }

  [[nodiscard]] bool sums_bias() const { return unit_.conv.bias && !bias_is_zero_; }
  [[nodiscard]] std::int64_t rows() const { return problem_.destination.elements() / order_.out; }
  [[nodiscard]] std::size_t weight_bytes() const {
    return static_cast<std::size_t>(order_.padded_elements()) * size_of(problem_.type);
  }
  [[nodiscard]] std::size_t padded_bytes() const {
    return problem_.zero_channels > 0 ? TensorDesc{problem_.type, problem_.source}.bytes() : 0;
  }
  [[nodiscard]] void* padded_source() const {
    void* const space = trains_ ? bound_.saved : bound_.scratch;
    return space == nullptr ? nullptr : static_cast<std::byte*>(space) + padded_at_;
  }
  // Answers take normalisation into weights and shifts.
  [[nodiscard]] bool folds() const { return !trains_ && unit_.norm; }
  // f32 of one tap lie in memory as the library wants them.
  [[nodiscard]] bool derives() const { return folds() || problem_.type != DType::f32 || order_.taps != 1; }
  [[nodiscard]] float* shifts() const {
    if (folds()) return shifts_space_.as<float>();
    return unit_.conv.bias ? static_cast<float*>(bound_.parameters[1]) : nullptr;
  }
  [[nodiscard]] void* scratch(std::size_t at) const {
    return bound_.scratch == nullptr ? nullptr : static_cast<std::byte*>(bound_.scratch) + at;
  }
  [[nodiscard]] void* trailing(std::size_t at) const {
    return bound_.trailing == nullptr ? nullptr : static_cast<std::byte*>(bound_.trailing) + at;
  }
  [[nodiscard]] float* gradient(std::size_t i) const {
    return static_cast<float*>(bound_.parameter_gradients[i]);
  }

  void derive() const {
    const auto number = [](const std::vector<void*>& list, std::size_t at) {
      return static_cast<const float*>(list[at]);
    };
    ChannelParameters parameters;
    if (folds()) {
      std::size_t next = 1;  // behind the weights
      if (unit_.conv.bias) parameters.bias = number(bound_.parameters, next++);
      parameters.scale = number(bound_.parameters, next);
      parameters.shift = number(bound_.parameters, next + 1);
      parameters.mean = number(bound_.statistics, 0);
      parameters.variance = number(bound_.statistics, 1);
      parameters.eps = unit_.norm->eps;
    }
    derive_weights(context_, order_, number(bound_.parameters, 0), parameters, problem_.type,
                   weights_space_.as(), shifts_space_.as<float>());
  }

  [[nodiscard]] OperationReport report(std::string operation, std::string implementation,
                                       int directions) const {
    OperationReport report;
    report.operation = std::move(operation);
    if (unit_.norm) report.operation += ", norm";
    if (unit_.adds) report.operation += ", sum";
    if (unit_.activation) report.operation += ", activation";
    report.implementation = std::move(implementation);
    report.layout = cuda_format_name({problem_.type, nhwc});
    report.flops =
        2.0 * directions * static_cast<double>(problem_.destination.elements()) * order_.in * order_.taps;
    const std::int64_t elements = problem_.source.elements() + problem_.destination.elements();
    report.bytes = directions * (static_cast<double>(elements) * static_cast<double>(size_of(problem_.type)) +
                                 static_cast<double>(order_.elements()) * sizeof(float));
    return report;
  }

  CudaContext context_;
  const LibraryHandles& handles_;
  const LibraryHandles& side_handles_;
  ConvUnit unit_;
  ConvGraph::Problem problem_;
  bool trains_;
  bool bias_is_zero_;
  WeightOrder order_;
  KernelNeeds needs_;
  Binding bound_;
  Forward forward_;
  std::unique_ptr<TrainedNorm> norm_;  // in training
  std::unique_ptr<WeightGradient> backward_weights_;
  std::optional<ConvGraph> backward_data_;
  std::size_t padded_at_ = 0;             // in what is saved, or without training in the scratch
  std::size_t workspace_at_ = 0;          // in the scratch; forward and the input's gradient use it in turn
  std::size_t weights_workspace_at_ = 0;  // in what trails
  std::size_t bias_workspace_at_ = 0;     // likewise
  DeviceBytes weights_space_;
  DeviceBytes shifts_space_;
};

}  // namespace

std::unique_ptr<Kernel> make_conv_library(const KernelRequest& request, const ConvTools& tools) {
  const auto unit = ConvUnit::of(request.unit);
  const bool trains = request.plan.mode == Mode::train;
  // In training an activation wants the sum before it kept: only normalisation's passes do that.
  if (!unit || (trains && (unit->adds || (unit->activation && !unit->norm)))) return nullptr;
  ConvGraph::Problem problem;
  problem.op = unit->conv;
  problem.source = request.inputs.front().shape;
  problem.zero_channels = trains && request.input_gradients.front() ? 0 : zero_channels_for(request);
  problem.source = padded(problem.source, problem.zero_channels);
  problem.destination = request.output.shape;
  problem.type = request.output.type;
  auto forward =
      trains ? make_forward(tools, problem, unit->conv.bias, false, std::nullopt)
             : make_forward(tools, problem, unit->conv.bias || unit->norm, unit->adds, unit->activation);
  if (!forward) return nullptr;
  std::unique_ptr<WeightGradient> weights;
  std::optional<ConvGraph> data;
  if (trains) {
    weights = make_weight_gradient(tools, problem);
    if (!weights) return nullptr;
    if (request.input_gradients.front()) {
      data = choose_graph(tools, Direction::backward_data, problem);
      if (!data) return nullptr;
    }
  }
  auto kernel = std::make_unique<ConvLibraryKernel>(request, *unit, problem, tools, std::move(*forward));
  if (trains) kernel->train(request, std::move(weights), std::move(data));
  return kernel;
}

}  // namespace descent
