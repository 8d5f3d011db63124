// The observer that lets a schedule steer a fit.
#pragma once

#include "descent/schedule.h"
#include "descent/train.h"

#include <cstdint>

namespace descent {

// Sets the learning rate before every training step, and the rule's momentum or beta1 if the schedule gives
// one and the rule has one. First in the list of observers, so that the others see what the step uses.
class Scheduler : public Observer {
 public:
  explicit Scheduler(ScheduleSettings settings) : settings_(settings) {}

  void before_fit(FitState& state) override;
  void before_batch(FitState& state) override;

 private:
  ScheduleSettings settings_;
  double rate_ = 0;  // the optimizer's own
  std::int64_t total_ = 1;
};

}  // namespace descent
