// All the ways in which the CPU can compute a unit, each with its measured time.
#pragma once

#include "cpu/choices.h"
#include "cpu/context.h"
#include "cpu/format_choice.h"
#include "cpu/onednn.h"
#include "cpu/tuner.h"
#include "plan/kernel.h"

#include <optional>
#include <string_view>
#include <vector>

namespace descent {

// What candidates are made with; must outlive them.
struct CandidateTools {
  const CpuContext& context;
  const Onednn& onednn;
  Tuner& tuner;
  const CpuChoices& choices;
};

using Candidates = std::vector<UnitCandidate>;

// At least one, or an Error.
[[nodiscard]] Candidates unit_candidates(const KernelRequest& request, const CandidateTools& tools);
// The same without regard to the layout that the choices ask for.
[[nodiscard]] Candidates all_candidates(const KernelRequest& request, const CandidateTools& tools);

// Whether kernels with pictures innermost can compute the unit's convolution and are worth a try. Without long
// registers those in bf16 take a multiple of f32's time; by rule they count all the same, so that tests see
// them.
[[nodiscard]] bool may_use_lanes(const KernelRequest& request, const CandidateTools& tools);
// A convolution, in training with what follows it, with pictures innermost, if that fits.
[[nodiscard]] std::optional<UnitCandidate> lanes_candidate(const KernelRequest& request,
                                                           const CandidateTools& tools);
// By operation.
[[nodiscard]] Candidates conv_candidates(const KernelRequest& request, const CandidateTools& tools);
[[nodiscard]] Candidates batch_norm_candidates(const KernelRequest& request, const CandidateTools& tools);
// Of several layers, in training.
[[nodiscard]] Candidates block_candidates(const KernelRequest& request, const CandidateTools& tools);
// Of a run that begins with a convolution or a linear layer, in inference (plan/folded.h).
[[nodiscard]] Candidates folded_candidates(const KernelRequest& request, const CandidateTools& tools);

// Whether the library has a kernel for the unit in `layout`: `make` gives one.
[[nodiscard]] bool library_offers(const KernelRequest& request, const CandidateTools& tools, Layout layout,
                                  const std::function<std::unique_ptr<Kernel>()>& make);

// One candidate that reads and writes everything in `layout`. `implementation` tells those of one unit and
// layout apart in the plan cache.
[[nodiscard]] UnitCandidate timed_candidate(const KernelRequest& request, const CandidateTools& tools,
                                            Layout layout, std::string_view implementation,
                                            std::function<std::unique_ptr<Kernel>()> make);

}  // namespace descent
