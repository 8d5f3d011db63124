// A run's curves, statistics and pictures for TensorBoard.
#pragma once

#include "descent/network.h"
#include "descent/statistics.h"
#include "descent/train.h"
#include "train/event_file.h"

#include <filesystem>
#include <string>

namespace descent {

// Writes an event file into the run folder: a batch's loss, learning rate and momentum, an epoch's losses and
// accuracies, batch.png and worst.png where another observer has written them before, and what write() is
// given.
class TensorBoardWriter : public Observer {
 public:
  explicit TensorBoardWriter(std::filesystem::path folder);

  // Of the layers: means, deviations and histograms; of parameters: the update-to-weight ratio.
  void write(const StepStatistics& statistics, const Network& network);

  void before_fit(FitState& state) override;
  void after_loss(FitState& state) override;
  void after_batch(FitState& state) override;
  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;

 private:
  void write_picture(std::int64_t step, const std::string& file, const std::string& tag);

  std::filesystem::path folder_;
  EventFile file_;
  bool batch_shown_ = false;
  EventValues batch_;  // of the batch at hand: a schedule may change the rate before it ends
};

}  // namespace descent
