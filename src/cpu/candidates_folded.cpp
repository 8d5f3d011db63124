// Inference: a product with what follows it as one kernel, by the library in every layout that it has fast code
// for, by Winograd's algorithm, and by our own code where the work is small or the batch large.
#include "cpu/blocking.h"
#include "cpu/candidates.h"
#include "cpu/conv.h"
#include "cpu/folded_kernels.h"
#include "cpu/kernels.h"
#include "cpu/lanes.h"
#include "cpu/library_kernels.h"
#include "plan/folded.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace descent {

namespace {

UnitCandidate between(const KernelRequest& request, const CandidateTools& tools, Layout source,
                      Layout destination, std::string_view implementation,
                      std::function<std::unique_ptr<Kernel>()> make) {
  UnitCandidate candidate =
      timed_candidate(request, tools, destination,
                      fmt::format("folded {} from {}", implementation, layout_name(source)), std::move(make));
  candidate.inputs.front().layout = source;
  return candidate;
}

void add_parts(const KernelRequest& request, const CandidateTools& tools, Candidates& found) {
  const ConvProblem problem = folded_problem(request);
  for (const auto& [choice, seconds] : tools.tuner.inference_convs(problem)) {
    UnitCandidate candidate;
    candidate.inputs = {{problem.type, choice.source}};
    candidate.output = {problem.type, choice.destination};
    if (problem.adds) candidate.inputs.push_back(candidate.output);
    candidate.seconds = seconds;
    candidate.make = [=, choice = choice, onednn = tools.onednn, context = tools.context] {
      return make_folded_conv(request, choice, {onednn, context});
    };
    found.push_back(std::move(candidate));
  }
}

constexpr double small_work = 2e7;  // multiplications and additions that may not pay for a second thread

// The teams worth trying.
std::vector<CpuContext> teams(const CandidateTools& tools, double flops) {
  if (tools.context.threads == 1 || flops > small_work) return {tools.context};
  CpuContext alone = tools.context;
  alone.threads = 1;
  return {tools.context, alone};
}

// Where the library's calls cost more than they compute, or it has no good code for so few channels.
void add_pixels(const KernelRequest& request, const CandidateTools& tools, Candidates& found) {
  constexpr double few_channels_work = 1e9;
  const ConvProblem problem = conv_problem(request);
  if (problem.op.groups != 1) return;
  const double most = problem.source[1] < 8 ? few_channels_work : small_work;
  if (tools.choices.library && problem.flops() > most) return;
  for (const Layout destination : {nhwc, nchw16c}) {
    for (const Layout source : {nhwc, nchw16c, nchw}) {
      if (!layout_fits(problem.source, source) || !layout_fits(problem.destination, destination)) continue;
      for (const CpuContext& context : teams(tools, problem.flops())) {
        const std::string implementation = fmt::format("pixels, threads {}", context.threads);
        found.push_back(between(request, tools, source, destination, implementation,
                                [=] { return make_folded_pixels(request, source, destination, context); }));
      }
    }
  }
}

// As many pictures to a vector as it holds, some blocks of them at a time to a thread. In bf16 a residual would
// be added to what was rounded already: left to others.
void add_lanes(const KernelRequest& request, const CandidateTools& tools, Candidates& found) {
  if (!may_use_lanes(request, tools)) return;
  const ConvProblem problem = conv_problem(request);
  const Format in_lanes{problem.type, lanes_layout(problem.type)};
  if (problem.type == DType::bf16 && folded_run(request.unit.layers).adds) return;
  const bool all_work = problem.source[0] / Blocking::lanes_in(in_lanes.layout) >= tools.context.threads;
  if (tools.choices.library && !all_work && problem.flops() > small_work) return;
  for (const Format source : {in_lanes, Format{DType::f32, nchw}}) {
    KernelRequest from = request;
    from.inputs.front().type = source.type;
    for (const CpuContext& context : teams(tools, problem.flops())) {
      const std::string implementation = fmt::format("lanes, threads {}", context.threads);
      found.push_back(between(from, tools, source.layout, in_lanes.layout, implementation,
                              [=] { return make_folded_lanes(from, source, context); }));
    }
  }
}

Candidates conv_parts(const KernelRequest& request, const CandidateTools& tools) {
  const auto context = tools.context;
  const MakeProduct product = [=](const KernelRequest& of) { return make_conv_loops(of, context); };
  return {timed_candidate(request, tools, nchw, "folded parts",
                          [=] { return make_folded_parts(request, nchw, product, context); })};
}

}  // namespace

Candidates folded_candidates(const KernelRequest& request, const CandidateTools& tools) {
  const bool linear = folded_run(request.unit.layers).linear() != nullptr;
  if (request.output.type == DType::bf16) {
    Candidates found;
    if (linear) return found;
    add_parts(request, tools, found);
    add_lanes(request, tools, found);
    return found;
  }
  if (linear) {
    const MakeProduct product = [onednn = tools.onednn](const KernelRequest& of) {
      return make_linear(of, onednn);
    };
    return {timed_candidate(request, tools, nchw, "folded parts", [=, context = tools.context] {
      return make_folded_parts(request, nchw, product, context);
    })};
  }
  Candidates found;
  // A call into the library allocates, which shows where there is next to nothing to compute.
  constexpr double tiny_work = 1e6;
  const ConvProblem problem = conv_problem(request);
  const bool tiny = tools.choices.own && problem.op.groups == 1 && problem.flops() < tiny_work;
  if (tools.choices.always_winograd || !tiny) add_parts(request, tools, found);
  if (tools.choices.always_winograd && !found.empty()) return found;
  if (tools.choices.own) add_pixels(request, tools, found);
  add_lanes(request, tools, found);
  return found.empty() ? conv_parts(request, tools) : found;
}

}  // namespace descent
