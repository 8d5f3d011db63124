#include "cpu/factory.h"

#include "cpu/kernels.h"
#include "cpu/usable_cores.h"
#include "descent/error.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <tuple>

namespace descent {

namespace {

UnitCandidate uniform_candidate(const KernelRequest& request, Layout layout, double seconds = 0) {
  return {std::vector<Layout>(request.inputs.size(), layout), layout, seconds};
}

// Everything that tells two units of one kind apart, for the plan cache; shapes are added by the tuner.
std::string unit_key(const KernelRequest& request, Layout layout, bool loops) {
  std::string text(name(request.unit.first().op));
  std::visit(
      [&](const auto& op) {
        using Operation = std::decay_t<decltype(op)>;
        Operation::fields(op, [&](std::string_view field, const auto& value) {
          using Value = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<Value, Extent>) {
            text += fmt::format(" {} {}x{}", field, value.height, value.width);
          } else if constexpr (std::is_same_v<Value, bool>) {
            if (value) text += fmt::format(" {}", field);
          }
        });
      },
      request.unit.first().op);
  const bool gradient = request.input_gradients.front();
  return fmt::format("{} {} {} {} {}", text, request.plan.mode == Mode::train ? "training" : "inference",
                     gradient ? "with input gradient" : "alone", loops ? "loops" : "library",
                     layout_name(layout));
}

std::string conv_lanes_key(const ConvProblem& problem, const KernelRequest& request) {
  return fmt::format("{} out {}", unit_key(request, n16chw, true), problem.op.out);
}

}  // namespace

CpuFactory::CpuFactory(const CpuContext& context, const dnnl::engine& engine, Measurements* measurements,
                       const CpuChoices& choices)
    : context_(context),
      onednn_{engine, dnnl::stream(engine)},
      tuner_(onednn_, measurements),
      choices_(choices) {}

// The library takes its team from OpenMP's settings of the calling thread; primitives are made for one size.
void CpuFactory::enter() {
  if (omp_get_max_threads() != context_.threads) omp_set_num_threads(context_.threads);
  if (!denormals_are_flushed()) flush_denormals(context_.threads);
}

std::size_t CpuFactory::claim(std::span<const Layer* const> /*run*/, const PlanRequest& /*request*/) const {
  return 1;
}

DType CpuFactory::activation_type(const PlanRequest& request) const {
  if (request.precision != DType::f32) {
    throw Error("the CPU computes in f32, not in " + std::string(name(request.precision)));
  }
  return DType::f32;
}

bool CpuFactory::same_order(const TensorDesc& desc, Layout a, Layout b) const {
  return same_order_in(desc.shape, a, b);
}

void CpuFactory::consider(std::span<const KernelRequest> requests) {
  enter();
  std::vector<std::vector<UnitCandidate>> all;
  for (const KernelRequest& request : requests) all.push_back(candidates(request));
  const ReorderCost reorder = [&](const TensorDesc& desc, Layout from, Layout to, bool gradient) {
    double seconds = tuner_.reorder_seconds(desc.shape, desc.type, from, to);
    if (gradient) seconds += tuner_.reorder_seconds(desc.shape, desc.type, to, from);
    return seconds;
  };
  const std::vector<std::size_t> chosen = choose_layouts(requests, all, reorder);
  for (std::size_t unit = 0; unit < requests.size(); ++unit) {
    chosen_[requests[unit].unit.output] = all[unit][chosen[unit]];
  }
  tuner_.finish();
}

std::vector<UnitCandidate> CpuFactory::candidates(const KernelRequest& request) {
  std::vector<UnitCandidate> found =
      std::visit(Overloaded{[&](const Conv&) { return conv_candidates(request); },
                            [&](const BatchNorm&) { return batch_norm_candidates(request); },
                            [&](const AvgPool&) { return timed_candidates(request); },
                            [&](const MaxPool&) { return timed_candidates(request); },
                            [&](const GlobalAvgPool&) { return timed_candidates(request); },
                            [&](const GeneralRelu&) { return timed_candidates(request); },
                            [&](const Add&) { return timed_candidates(request); },
                            [&](const auto&) { return std::vector{uniform_candidate(request, nchw)}; }},
                 request.unit.first().op);
  if (choices_.layout) {
    const auto unwanted = [&](const UnitCandidate& candidate) {
      const Layout layout = *choices_.layout;
      return (layout_fits(request.output.shape, layout) && candidate.output != layout) ||
             (layout_fits(request.inputs.front().shape, layout) && candidate.inputs.front() != layout);
    };
    std::vector<UnitCandidate> wanted = found;
    std::erase_if(wanted, unwanted);
    if (!wanted.empty()) return wanted;
  }
  return found;
}

std::vector<UnitCandidate> CpuFactory::conv_candidates(const KernelRequest& request) {
  const ConvProblem problem = conv_problem(request);
  std::vector<Direction> directions{Direction::forward};
  if (request.plan.mode == Mode::train) directions.push_back(Direction::backward_weights);
  if (request.input_gradients.front()) directions.push_back(Direction::backward_data);

  std::vector<UnitCandidate> found;
  for (const Layout destination : fitting_layouts(problem.destination)) {
    for (const Layout source : fitting_layouts(problem.source)) {
      if (source == n16chw || destination == n16chw) continue;
      double seconds = 0;
      const bool possible =
          choices_.library && std::all_of(directions.begin(), directions.end(), [&](Direction d) {
            const auto best = tuner_.best_conv(problem, d, source, destination);
            if (best) seconds += best->seconds;
            return best.has_value();
          });
      if (possible) found.push_back({{source}, destination, seconds});
    }
  }
  if (found.empty()) found.push_back({{nchw}, nchw, 0, true});
  if (problem.op.groups == 1 && layout_fits(problem.source, n16chw)) {
    UnitCandidate in_lanes = uniform_candidate(request, n16chw);
    in_lanes.loops = true;
    in_lanes.seconds = tuner_.kernel_seconds(conv_lanes_key(problem, request), request,
                                             [&] { return make_conv_lanes(request, context_); });
    found.push_back(in_lanes);
  }
  return found;
}

std::vector<UnitCandidate> CpuFactory::batch_norm_candidates(const KernelRequest& request) {
  std::vector<UnitCandidate> found;
  const bool pictures = request.output.shape.rank() == 4;
  for (const Layout layout : fitting_layouts(request.output.shape)) {
    UnitCandidate loops = uniform_candidate(request, layout);
    loops.loops = true;
    loops.seconds =
        tuner_.kernel_seconds(unit_key(request, layout, true), request, [&] { return make(request, loops); });
    if (!choices_.library || !pictures || layout == n16chw ||
        make_batch_norm(request, layout, onednn_) == nullptr) {
      found.push_back(loops);
      continue;
    }
    UnitCandidate library = uniform_candidate(request, layout);
    library.seconds = tuner_.kernel_seconds(unit_key(request, layout, false), request,
                                            [&] { return make(request, library); });
    found.push_back(library);
    found.push_back(loops);
  }
  return found;
}

std::vector<UnitCandidate> CpuFactory::timed_candidates(const KernelRequest& request) {
  std::vector<UnitCandidate> found;
  for (const Layout layout : fitting_layouts(request.inputs.front().shape)) {
    if (!layout_fits(request.output.shape, layout)) continue;
    // Its one cell a channel is plain in every layout but this.
    if (layout == n16chw && std::holds_alternative<GlobalAvgPool>(request.unit.first().op)) continue;
    UnitCandidate candidate = uniform_candidate(request, layout);
    candidate.seconds = tuner_.kernel_seconds(unit_key(request, layout, true), request,
                                              [&] { return make(request, candidate); });
    found.push_back(candidate);
  }
  return found;
}

std::unique_ptr<Kernel> CpuFactory::prepare(const KernelRequest& request) {
  return make(request, chosen_.at(request.unit.output));
}

std::unique_ptr<Kernel> CpuFactory::make(const KernelRequest& request, const UnitCandidate& candidate) {
  const Layout layout = candidate.output;
  return std::visit(
      Overloaded{
          [&](const Conv&) { return make_best_conv(request, candidate); },
          [&](const BatchNorm&) {
            return candidate.loops ? make_batch_norm_loops(request, layout, context_)
                                   : make_batch_norm(request, layout, onednn_);
          },
          [&](const GeneralRelu&) { return make_general_relu(request, layout, context_); },
          [&](const Linear&) { return make_linear(request, onednn_); },
          [&](const AvgPool&) { return make_avg_pool(request, layout, context_); },
          [&](const MaxPool&) { return make_max_pool(request, layout, context_); },
          [&](const GlobalAvgPool&) { return make_global_avg_pool(request, layout, context_); },
          [&](const Add&) { return make_add(request, layout, context_); },
          [&](const Flatten&) { return make_flatten(request); },
          [&](const Dropout&) { return make_dropout(request, context_); },
          [&](const SoftmaxCrossEntropy&) { return make_softmax_cross_entropy(request, context_); },
      },
      request.unit.first().op);
}

std::unique_ptr<Kernel> CpuFactory::make_best_conv(const KernelRequest& request,
                                                   const UnitCandidate& candidate) {
  if (candidate.output == n16chw) return make_conv_lanes(request, context_);
  if (candidate.loops) return make_conv_loops(request, context_);
  const ConvProblem problem = conv_problem(request);
  const auto choice = [&](Direction direction) {
    const auto best = tuner_.best_conv(problem, direction, candidate.inputs.front(), candidate.output);
    return best ? best->choice : ConvChoice{};
  };
  ConvChoices choices{choice(Direction::forward), {}, {}};
  if (request.plan.mode == Mode::train) choices.backward_weights = choice(Direction::backward_weights);
  if (request.input_gradients.front()) choices.backward_data = choice(Direction::backward_data);
  return make_conv(request, candidate.inputs.front(), candidate.output, choices, onednn_);
}

std::unique_ptr<Kernel> CpuFactory::prepare_reorder(const TensorDesc& desc, Layout from, Layout to,
                                                    bool gradient) {
  return make_reorder(desc, from, to, gradient, onednn_);
}

std::unique_ptr<Kernel> CpuFactory::prepare_gradient_sum(const TensorDesc& desc, std::size_t branches) {
  return make_gradient_sum(desc, branches, context_);
}

void CpuFactory::load(const PictureSource& source, std::span<const std::uint32_t> indices, const Tensor& input,
                      const Tensor* targets) {
  load_pictures(context_, source, indices, input, targets);
}

}  // namespace descent
