// A convolution, each direction by the library or Winograd's algorithm between its own best layouts; in the
// layout n16chw by our own code; by our own loops where the library has only reference code. And batch norm.
#include "cpu/candidates.h"
#include "cpu/conv.h"
#include "cpu/kernels.h"
#include "cpu/library_kernels.h"
#include "plan/units.h"

#include <algorithm>
#include <optional>

namespace descent {

namespace {

std::vector<Direction> directions_of(const KernelRequest& request) {
  std::vector<Direction> directions{Direction::forward};
  if (request.plan.mode == Mode::train) directions.push_back(Direction::backward_weights);
  if (request.input_gradients.front()) directions.push_back(Direction::backward_data);
  return directions;
}

// Each direction by a part (cpu/conv_part.h); nothing if there is only reference code for one of them.
std::optional<UnitCandidate> conv_of_parts(const KernelRequest& request, const CandidateTools& tools,
                                           Layout source, Layout destination) {
  const ConvProblem problem = conv_problem(request);
  ConvChoices choices;
  double seconds = 0;
  for (const Direction direction : directions_of(request)) {
    const auto best = tools.tuner.best_conv(problem, direction, source, destination);
    if (!best) return std::nullopt;
    seconds += best->seconds;
    choices.of(direction) = best->choice;
  }
  return UnitCandidate{{{problem.type, source}},
                       {problem.type, destination},
                       seconds,
                       [=, onednn = tools.onednn, context = tools.context] {
                         return make_conv(request, source, destination, choices, {onednn, context});
                       }};
}

}  // namespace

std::optional<UnitCandidate> lanes_candidate(const KernelRequest& request, const CandidateTools& tools) {
  if (!may_use_lanes(request, tools)) return std::nullopt;
  const Layout layout = lanes_layout(request.output.type);
  const auto timed = [&](std::string_view implementation, LanesOutput output) {
    return timed_candidate(request, tools, layout, implementation,
                           [=, context = tools.context] { return make_lanes_unit(request, context, output); });
  };
  UnitCandidate candidate = timed("together", LanesOutput::written);
  candidate.takes_over = request.input_gradients.front();
  if (operation_in<BatchNorm>(request.unit)) {
    candidate.spares = std::max(0.0, candidate.seconds - timed("handed over", LanesOutput::left).seconds);
  }
  return candidate;
}

Candidates conv_candidates(const KernelRequest& request, const CandidateTools& tools) {
  const Shape& source_shape = request.inputs.front().shape;
  Candidates found;
  const DType type = request.output.type;
  for (const Layout destination : fitting_layouts(request.output.shape, type)) {
    for (const Layout source : fitting_layouts(source_shape, type)) {
      if (has_pictures_innermost(source) || has_pictures_innermost(destination)) continue;
      if (auto candidate = conv_of_parts(request, tools, source, destination)) {
        found.push_back(*std::move(candidate));
      }
    }
  }
  const auto context = tools.context;
  std::optional<UnitCandidate> in_lanes = lanes_candidate(request, tools);
  if ((found.empty() || !tools.choices.library) && type == DType::f32) {
    const auto make = [=] { return make_conv_loops(request, context); };
    // Where nothing else computes it there is nothing to measure.
    if (in_lanes || !found.empty()) {
      found.push_back(timed_candidate(request, tools, nchw, "columns", make));
    } else {
      found.push_back({{{DType::f32, nchw}}, {DType::f32, nchw}, 0, make});
    }
  }
  if (in_lanes) found.push_back(*std::move(in_lanes));
  return found;
}

Candidates batch_norm_candidates(const KernelRequest& request, const CandidateTools& tools) {
  Candidates found;
  const bool pictures = request.output.shape.rank() == 4;
  for (const Layout layout : fitting_layouts(request.output.shape, request.output.type)) {
    const auto library = [=, onednn = tools.onednn] { return make_batch_norm(request, layout, onednn); };
    if (tools.choices.library && pictures && !has_pictures_innermost(layout) &&
        library_offers(request, tools, layout, library)) {
      found.push_back(timed_candidate(request, tools, layout, "library", library));
      if (!tools.choices.own) continue;
    }
    found.push_back(timed_candidate(request, tools, layout, "loops", [=, context = tools.context] {
      return make_batch_norm_loops(request, layout, context);
    }));
  }
  return found;
}

}  // namespace descent
