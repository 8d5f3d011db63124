#include "train/scheduler.h"

namespace descent {

void Scheduler::before_fit(FitState& state) {
  total_ = schedule_ticks(settings_, state.settings, state.steps_per_epoch);
  check_schedule(settings_, total_);
  rate_ = state.learning_rate;
}

void Scheduler::before_batch(FitState& state) {
  if (!state.training) return;
  const std::int64_t tick = settings_.by == ScheduleBy::step ? state.step : state.epoch;
  const ScheduleValue value = value_at(settings_, {rate_, tick, total_});
  state.learning_rate = value.rate;
  if (value.momentum) set_momentum(state.optimizer, *value.momentum);
}

}  // namespace descent
