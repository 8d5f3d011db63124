#include "cpu/factory.h"

#include "cpu/candidates.h"
#include "cpu/format_choice.h"
#include "cpu/kernels.h"
#include "cpu/lanes_neighbours.h"
#include "cpu/library_kernels.h"
#include "plan/claims.h"

namespace descent {

CpuFactory::CpuFactory(const CpuContext& context, const dnnl::engine& engine, Timing* timing,
                       const CpuChoices& choices, const PlanRequest& plan)
    : context_(context),
      onednn_{engine, dnnl::stream(engine)},
      tuner_(context_, onednn_, timing, choices, plan),
      choices_(choices) {}

// The library takes its team from OpenMP's settings of the calling thread; primitives are made for one size.
void CpuFactory::enter() {
  descent::enter(context_);
}

std::size_t CpuFactory::claim(std::span<const Layer* const> run, const PlanRequest& request) const {
  return claimed_layers(run, request);
}

bool CpuFactory::same_bytes(const TensorDesc& desc, Format other) const {
  return same_bytes_in(desc, other);
}

void CpuFactory::consider(std::span<const KernelRequest> requests) {
  enter();
  const CandidateTools tools{context_, onednn_, tuner_, choices_};
  std::vector<Candidates> all;
  for (const KernelRequest& request : requests) all.push_back(unit_candidates(request, tools));
  const ReorderCost reorder = [&](const TensorDesc& from, Format to, bool gradient) {
    double seconds = tuner_.reorder_seconds(from, to);
    if (gradient) seconds += tuner_.reorder_seconds(from.in(to), from.format());
    return seconds;
  };
  const std::vector<std::size_t> chosen = choose_formats(requests, all, reorder);
  for (std::size_t unit = 0; unit < requests.size(); ++unit) {
    UnitCandidate& candidate = all[unit][chosen[unit]];
    if (!std::holds_alternative<Flatten>(requests[unit].unit.first().op)) types_.insert(candidate.output.type);
    chosen_[requests[unit].unit.output] = std::move(candidate.make);
  }
  tuner_.finish();
}

std::unique_ptr<Kernel> CpuFactory::prepare(const KernelRequest& request) {
  std::unique_ptr<Kernel> kernel = chosen_.at(request.unit.output)();
  Kernel* const writer = introductions_.introduce(request, *kernel).front();
  auto* const reader = dynamic_cast<LanesReader*>(kernel.get());
  if (reader != nullptr && writer != nullptr) reader->meet(*writer);
  return kernel;
}

std::unique_ptr<Kernel> CpuFactory::prepare_reorder(const TensorDesc& from, Format to, bool gradient) {
  return make_reorder(from, to, gradient, onednn_, context_);
}

std::unique_ptr<Kernel> CpuFactory::prepare_gradient_sum(const TensorDesc& desc, std::size_t branches,
                                                         Kernel* /*writer*/) {
  return make_gradient_sum(desc, branches, context_);
}

bool CpuFactory::loads_into(const TensorDesc& input) const {
  return can_load_pictures_into(input);
}

void CpuFactory::load(const PictureSource& source, const PictureBatch& batch, const Tensor& input,
                      const Tensor* targets) {
  load_pictures(context_, source, batch, input, targets);
}

}  // namespace descent
