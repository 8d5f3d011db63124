#include "descent/error.h"
#include "descent/train.h"
#include "train/phase.h"

#include <chrono>
#include <cmath>
#include <memory>

namespace descent {

PhaseMetrics evaluate(const Network& network, ParameterStore& store, const PictureSet& pictures,
                      std::int64_t batch_size, DType precision, const AfterBatch& after_batch) {
  check_pictures(network, pictures, "pictures to evaluate");
  if (batch_size <= 0) throw Error("the batch size must be at least 1");
  PlanRequest request;
  request.loss = true;
  request.loads_alone = true;
  request.precision = precision;
  Buffer workspace;  // outlives the plans
  const PhasePlans plans(network, store, pictures, batch_size, request);
  workspace = store.device().allocate(plans.workspace_bytes());
  plans.bind(workspace);

  const auto start = std::chrono::steady_clock::now();
  PictureSource source = pictures.source(network.normalisation);
  const std::unique_ptr<PlacedPictures> placed = store.device().place(source);
  source.placed = placed.get();
  const std::vector<std::uint32_t> order = epoch_order(pictures.size(), false, 0, 0);
  PhaseSums sums;
  for (std::int64_t batch = 0; batch < plans.batches(); ++batch) {
    const BatchRange range = plans.range(batch);
    const StepContext context{0, 0, static_cast<std::uint64_t>(range.first)};
    Plan& plan = plans.plan(range);
    const auto indices = std::span(order).subspan(static_cast<std::size_t>(range.first),
                                                  static_cast<std::size_t>(range.pictures));
    plan.load(source, {indices});
    plan.forward(context);
    const StepResult result = plan.result();
    if (!std::isfinite(result.loss_sum)) {
      refuse_loss(plan, context, "in the batch from picture " + std::to_string(range.first));
    }
    sums.add(result, range.pictures);
    if (after_batch) after_batch(plan, indices);
  }
  sums.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return sums.metrics();
}

}  // namespace descent
