// What a run leaves on disk while it trains.
#pragma once

#include "base/files.h"
#include "descent/train.h"
#include "descent/weights.h"

#include <filesystem>
#include <string>

namespace descent {

// metrics.csv, one row an epoch, and steps.csv, one row a batch.
class CsvRecorder : public Observer {
 public:
  explicit CsvRecorder(const std::filesystem::path& folder);

  void after_batch(FitState& state) override;
  void after_loss(FitState& state) override;
  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;

 private:
  LineWriter metrics_;
  LineWriter steps_;
  double rate_ = 0;  // of the step at hand: schedules may change both before the row is written
  double momentum_ = 0;
};

// model.safetensors at the end of every epoch, best.safetensors after the one of highest validation accuracy.
class CheckpointWriter : public Observer {
 public:
  CheckpointWriter(std::filesystem::path folder, ModelDescription description);

  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;

 private:
  void save_as(const std::string& file, const ParameterStore& store);

  std::filesystem::path folder_;
  Model model_;
  double best_accuracy_ = -1;
};

}  // namespace descent
