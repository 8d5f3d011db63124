// What a person sees of a fit: a bar on a terminal, lines elsewhere, and the table of epochs.
#pragma once

#include "base/sparkline.h"
#include "cli/terminal.h"
#include "descent/train.h"

#include <chrono>
#include <cstdint>

namespace descent::cli {

// On standard error: a bar with loss, images/s, time left and the course of the loss if it is a terminal; else
// whole lines, one an epoch and one a minute in between.
class Progress : public Observer {
 public:
  Progress(std::int64_t train_pictures, std::int64_t valid_pictures);

  void before_fit(FitState& state) override;
  void before_epoch(FitState& state) override;
  void after_batch(FitState& state) override;
  void after_epoch(FitState& state) override;
  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;
  void cleanup_fit(FitState& state) override;

 private:
  using Clock = std::chrono::steady_clock;

  void draw(const FitState& state);
  void erase();
  void print_line(const FitState& state);
  [[nodiscard]] double seconds_left(const FitState& state) const;

  std::int64_t train_pictures_;
  std::int64_t valid_pictures_;
  Terminal terminal_;
  Sparkline losses_;  // of training batches
  bool drawn_ = false;
  Clock::time_point last_drawn_;  // or printed
  double train_cost_ = 0;         // seconds a picture, as last measured
  double valid_cost_ = 0;
};

// On standard output: a row an epoch.
class EpochTable : public Observer {
 public:
  void before_fit(FitState& state) override;
  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;
};

}  // namespace descent::cli
