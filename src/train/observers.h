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
  explicit CsvRecorder(const std::filesystem::path& folder, const FitPosition& start = {});

  void after_batch(FitState& state) override;
  void after_loss(FitState& state) override;
  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;

 private:
  LineWriter metrics_;
  LineWriter steps_;
  double rate_ = 0;  // of the step at hand: schedules may change both before the row is written
  double momentum_ = 0;
};

// At the end of every epoch model.safetensors, best.safetensors if it is the one of highest validation
// accuracy, and checkpoint.safetensors, from which the run can be taken up; the first and the last of them also
// where the fit is left within an epoch.
class CheckpointWriter : public Observer {
 public:
  static constexpr const char* checkpoint = "checkpoint.safetensors";

  CheckpointWriter(std::filesystem::path folder, ModelDescription description, const FitPosition& start = {});

  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;
  void cleanup_fit(FitState& state) override;

 private:
  void save_as(const std::string& file) const;
  void save(const FitState& state, bool best);

  std::filesystem::path folder_;
  Model model_;
  double best_accuracy_;
  std::int64_t saved_step_;  // of the last checkpoint
};

}  // namespace descent
