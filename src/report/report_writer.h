// Keeps report.html of a run folder up to date while the run goes on.
#pragma once

#include "descent/train.h"

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>

namespace descent {

// Rewrites the report from the folder's files at the end of an epoch, in long epochs between its batches,
// and once at the end of the fit. Comes after the observers that write those files. Writes seldom enough
// to take no more than a fiftieth of the time.
class ReportWriter : public Observer {
 public:
  // `warn` hears of a report that cannot be written, once; the run goes on.
  ReportWriter(std::filesystem::path folder, std::function<void(const std::string&)> warn)
      : folder_(std::move(folder)), warn_(std::move(warn)) {}

  void before_fit(FitState& state) override;
  void after_batch(FitState& state) override;
  void after_both_phases(FitState& state, const EpochMetrics& metrics) override;
  void cleanup_fit(FitState& state) override;

 private:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;

  void write_after(Seconds pause);  // unless the last writing is not so long ago
  void write();

  std::filesystem::path folder_;
  std::function<void(const std::string&)> warn_;  // empty once it was called
  Clock::time_point written_;                     // when it was last done
  Seconds cost_{0};                               // of the last writing
};

}  // namespace descent
