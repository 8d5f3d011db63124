// Training: a convolution, batch normalisation or sum with what follows it. As one kernel where there is one,
// and layer by layer between every pair of formats that the layers know.
#include "cpu/candidates.h"
#include "cpu/kernels.h"
#include "cpu/library_kernels.h"
#include "cpu/sequence.h"

#include <algorithm>
#include <utility>

namespace descent {

namespace {

// Only the sign counts: what the library can do together with a normalisation.
bool is_plain(const GeneralRelu& relu) {
  return relu.leak == 0 && relu.sub == 0 && !relu.maxv;
}

// The first layer in each of its ways, then the rest of the unit in the fastest way that reads what that
// writes.
Candidates sequences(const KernelRequest& request, const CandidateTools& tools) {
  const UnitPart first(request, 0, 1);
  const UnitPart rest(request, 1, request.unit.layers.size());
  const Candidates before = all_candidates(first.request, tools);
  const Candidates after = all_candidates(rest.request, tools);
  Candidates found;
  for (const UnitCandidate& head : before) {
    for (const UnitCandidate& tail : after) {
      if (tail.inputs.front() != head.output) continue;
      UnitCandidate whole{head.inputs, tail.output, head.seconds + tail.seconds,
                          [first, rest, make_first = head.make, make_rest = tail.make] {
                            std::vector<SequencePart> parts;
                            parts.push_back({first, make_first()});
                            parts.push_back({rest, make_rest()});
                            return make_sequence(std::move(parts));
                          }};
      const auto same = std::find_if(found.begin(), found.end(), [&](const UnitCandidate& other) {
        return other.inputs == whole.inputs && other.output == whole.output;
      });
      if (same == found.end()) {
        found.push_back(std::move(whole));
      } else if (whole.seconds < same->seconds) {
        *same = std::move(whole);
      }
    }
  }
  return found;
}

void add_norms(const KernelRequest& request, const CandidateTools& tools, Candidates& found) {
  const bool library = tools.choices.library && request.output.shape.rank() == 4 &&
                       is_plain(std::get<GeneralRelu>(request.unit.last().op));
  for (const Layout layout : fitting_layouts(request.output.shape, request.output.type)) {
    const auto by_library = [=, onednn = tools.onednn] { return make_batch_norm(request, layout, onednn); };
    if (library && !has_pictures_innermost(layout) && library_offers(request, tools, layout, by_library)) {
      found.push_back(timed_candidate(request, tools, layout, "library", by_library));
    }
    if (!tools.choices.own && !found.empty()) continue;
    found.push_back(timed_candidate(request, tools, layout, "loops", [=, context = tools.context] {
      return make_batch_norm_loops(request, layout, context);
    }));
  }
}

void add_sums(const KernelRequest& request, const CandidateTools& tools, Candidates& found) {
  for (const Layout layout : fitting_layouts(request.output.shape, request.output.type)) {
    found.push_back(timed_candidate(request, tools, layout, "loops", [=, context = tools.context] {
      return make_add_relu(request, layout, context);
    }));
  }
}

}  // namespace

Candidates block_candidates(const KernelRequest& request, const CandidateTools& tools) {
  const Op& first = request.unit.first().op;
  Candidates found;
  if (std::holds_alternative<Add>(first)) {
    add_sums(request, tools, found);
    return found;
  }
  if (std::holds_alternative<Conv>(first)) {
    if (auto in_lanes = lanes_candidate(request, tools)) found.push_back(*std::move(in_lanes));
  }
  const bool together = !found.empty();
  constexpr int most_threads = 8;  // that the kernel of the whole unit keeps busy backward
  for (UnitCandidate& sequence : sequences(request, tools)) {
    // It moves more bytes for the same sums: nothing to measure.
    const bool slower = together && tools.context.threads <= most_threads &&
                        sequence.inputs == found.front().inputs && sequence.output == found.front().output;
    if (!slower) found.push_back(std::move(sequence));
  }
  if (std::holds_alternative<BatchNorm>(first)) add_norms(request, tools, found);
  return found;
}

}  // namespace descent
