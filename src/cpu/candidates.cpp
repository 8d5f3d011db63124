#include "cpu/candidates.h"

#include "cpu/kernels.h"
#include "cpu/library_kernels.h"
#include "cpu/registers.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace descent {

namespace {

std::string kernel_name(std::string_view implementation, Format format) {
  return fmt::format("{} {}", implementation, format_name(format));
}

Candidates in_every_layout(const KernelRequest& request, const CandidateTools& tools,
                           std::unique_ptr<Kernel> (*make)(const KernelRequest&, Layout, const CpuContext&)) {
  Candidates found;
  for (const Layout layout : fitting_layouts(request.inputs.front().shape, request.output.type)) {
    if (!layout_fits(request.output.shape, layout)) continue;
    // Its one cell a channel is plain in every layout but these.
    if (has_pictures_innermost(layout) && std::holds_alternative<GlobalAvgPool>(request.unit.first().op))
      continue;
    found.push_back(timed_candidate(request, tools, layout, "loops",
                                    [=, context = tools.context] { return make(request, layout, context); }));
  }
  return found;
}

Candidates plain_only(const KernelRequest& request, std::function<std::unique_ptr<Kernel>()> make) {
  UnitCandidate candidate;
  for (const TensorDesc& input : request.inputs) candidate.inputs.push_back(input.format());
  candidate.output = request.output.format();
  candidate.make = std::move(make);
  return {candidate};
}

Candidates f32_only(const KernelRequest& request, std::function<std::unique_ptr<Kernel>()> make) {
  return request.output.type == DType::f32 ? plain_only(request, std::move(make)) : Candidates{};
}

Candidates layer_candidates(const KernelRequest& request, const CandidateTools& tools) {
  const CpuContext& context = tools.context;
  const Onednn& onednn = tools.onednn;
  return std::visit(
      Overloaded{
          [&](const Conv&) { return conv_candidates(request, tools); },
          [&](const BatchNorm&) { return batch_norm_candidates(request, tools); },
          [&](const AvgPool&) { return in_every_layout(request, tools, make_avg_pool); },
          [&](const MaxPool&) { return in_every_layout(request, tools, make_max_pool); },
          [&](const GlobalAvgPool&) { return in_every_layout(request, tools, make_global_avg_pool); },
          [&](const GeneralRelu&) { return in_every_layout(request, tools, make_general_relu); },
          [&](const Add&) { return in_every_layout(request, tools, make_add); },
          [&](const Linear&) { return f32_only(request, [=] { return make_linear(request, onednn); }); },
          [&](const Flatten&) { return plain_only(request, [=] { return make_flatten(request); }); },
          [&](const Dropout&) { return plain_only(request, [=] { return make_dropout(request, context); }); },
          [&](const SoftmaxCrossEntropy&) {
            return f32_only(request, [=] { return make_softmax_cross_entropy(request, context); });
          },
      },
      request.unit.first().op);
}

}  // namespace

bool may_use_lanes(const KernelRequest& request, const CandidateTools& tools) {
  const DType type = request.output.type;
  return tools.choices.own && (type == DType::f32 || has_avx512_registers() || !tools.tuner.measures()) &&
         std::get<Conv>(request.unit.first().op).groups == 1 &&
         layout_fits(request.inputs.front().shape, lanes_layout(type));
}

bool library_offers(const KernelRequest& request, const CandidateTools& tools, Layout layout,
                    const std::function<std::unique_ptr<Kernel>()>& make) {
  return tools.tuner.offers(unit_name(request) + ", " + kernel_name("library", {request.output.type, layout}),
                            [&] { return make() != nullptr; });
}

UnitCandidate timed_candidate(const KernelRequest& request, const CandidateTools& tools, Layout layout,
                              std::string_view implementation, std::function<std::unique_ptr<Kernel>()> make) {
  UnitCandidate candidate;
  for (const TensorDesc& input : request.inputs) candidate.inputs.push_back({input.type, layout});
  candidate.output = {request.output.type, layout};
  candidate.seconds = tools.tuner.kernel_seconds(request, kernel_name(implementation, candidate.output), make);
  candidate.make = std::move(make);
  return candidate;
}

namespace {

// In every type that the plan allows. Without measurements bf16 counts as the faster one wherever there are
// kernels for it.
Candidates candidates_of_all_types(const KernelRequest& request, const CandidateTools& tools) {
  Candidates found;
  if (request.plan.precision == DType::bf16) {
    KernelRequest in_bf16 = request;
    for (TensorDesc& input : in_bf16.inputs) input.type = DType::bf16;
    in_bf16.output.type = DType::bf16;
    found = all_candidates(in_bf16, tools);
    if (!found.empty() && !tools.tuner.measures()) return found;
  }
  std::ranges::move(all_candidates(request, tools), std::back_inserter(found));
  return found;
}

}  // namespace

Candidates all_candidates(const KernelRequest& request, const CandidateTools& tools) {
  const bool block = request.unit.layers.size() > 1;
  const bool conv = std::holds_alternative<Conv>(request.unit.first().op);
  if (request.plan.mode == Mode::infer && (block || conv)) return folded_candidates(request, tools);
  return block ? block_candidates(request, tools) : layer_candidates(request, tools);
}

Candidates unit_candidates(const KernelRequest& request, const CandidateTools& tools) {
  Candidates found = candidates_of_all_types(request, tools);
  if (!tools.choices.layout) return found;
  const Layout layout = *tools.choices.layout;
  const auto unwanted = [&](const UnitCandidate& candidate) {
    return (layout_fits(request.output.shape, layout) && candidate.output.layout != layout) ||
           (layout_fits(request.inputs.front().shape, layout) && candidate.inputs.front().layout != layout);
  };
  Candidates wanted = found;
  std::erase_if(wanted, unwanted);
  return wanted.empty() ? found : wanted;
}

}  // namespace descent
