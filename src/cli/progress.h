// What a person sees of a fit: a bar on a terminal, lines elsewhere, and the table of epochs.
#pragma once

#include "descent/train.h"

#include <chrono>
#include <cstdint>

namespace descent::cli {

// On standard error: a bar with loss, images/s and time left if it is a terminal, else one line an epoch.
class Progress : public Observer {
 public:
  Progress(std::int64_t train_pictures, std::int64_t valid_pictures);

  void before_fit(FitState& state) override;
  void before_epoch(FitState& state) override;
  void after_batch(FitState& state) override;
  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;
  void cleanup_fit(FitState& state) override;

 private:
  using Clock = std::chrono::steady_clock;

  void draw(const FitState& state);
  void erase();
  [[nodiscard]] double seconds_left(const FitState& state) const;

  std::int64_t train_pictures_;
  std::int64_t valid_pictures_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point last_drawn_;
  double train_cost_ = 0;  // seconds a picture, as last measured
  double valid_cost_ = 0;
};

// On standard output: a row an epoch.
class EpochTable : public Observer {
 public:
  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;

 private:
  bool begun_ = false;
};

}  // namespace descent::cli
