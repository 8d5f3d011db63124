// Observers that look inside: they need a fit with TrainSettings::watch.
#pragma once

#include "base/files.h"
#include "descent/statistics.h"
#include "descent/train.h"

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace descent {

// Gathers what each watched step showed of layers, parameters, updates and gradients, and hands it on.
class StatisticsObserver : public Observer {
 public:
  using Sink = std::function<void(const StepStatistics&)>;
  explicit StatisticsObserver(std::vector<Sink> sinks) : sinks_(std::move(sinks)) {}

  void before_fit(FitState& state) override;
  void after_backward(FitState& state) override;
  void after_step(FitState& state) override;

 private:
  std::vector<Sink> sinks_;
  Buffer before_;  // parameters before the update
  Summary gradient_;
  StepStatistics statistics_;
};

// layers.csv, histograms.csv, parameters.csv and gradients.csv of a run folder: the rows of a step are
// written by one call a file.
class StatisticsFiles {
 public:
  // `first_step`: rows of steps before it stay.
  StatisticsFiles(const std::filesystem::path& folder, const Network& network, std::int64_t first_step = 0);
  void write(const StepStatistics& statistics);

 private:
  std::vector<std::string> names_;  // of layers
  LineWriter layers_;
  LineWriter histograms_;
  LineWriter parameters_;
  LineWriter gradients_;
};

// operations.csv: where a step's time went, as means over the watched steps so far. Written at the end of
// every epoch.
class OperationTimes : public Observer {
 public:
  explicit OperationTimes(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void before_fit(FitState& state) override;
  void after_backward(FitState& state) override;
  void after_step(FitState& state) override;
  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;

 private:
  std::filesystem::path folder_;
  Plan* plan_ = nullptr;  // of the full batch
  std::int64_t updates_ = 0;
  double update_seconds_ = 0;
  std::chrono::steady_clock::time_point update_begin_;
};

}  // namespace descent
