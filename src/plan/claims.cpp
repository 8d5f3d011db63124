#include "plan/claims.h"

#include "plan/folded.h"

namespace descent {

namespace {

// A convolution, its normalisation and its activation, where they are there; a sum or a normalisation with its
// activation.
std::size_t trained_together(std::span<const Layer* const> run) {
  std::size_t count = 1;
  const auto next_is = [&]<class Operation>(const Operation&) {
    return count < run.size() && std::holds_alternative<Operation>(run[count]->op);
  };
  const Op& first = run.front()->op;
  if (std::holds_alternative<Conv>(first) && next_is(BatchNorm{})) ++count;
  const bool activates = std::holds_alternative<Conv>(first) || std::holds_alternative<BatchNorm>(first) ||
                         std::holds_alternative<Add>(first);
  if (activates && next_is(GeneralRelu{})) ++count;
  return count;
}

}  // namespace

std::size_t claimed_layers(std::span<const Layer* const> run, const PlanRequest& request) {
  if (request.mode == Mode::train) return trained_together(run);
  const FoldedRun folded = folded_run(run);
  return folded.product != nullptr ? folded.layers : 1;
}

}  // namespace descent
