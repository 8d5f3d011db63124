#include "report/report_writer.h"

#include "report/run_report.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace descent {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::duration<double> between_epochs = 2s;
constexpr std::chrono::duration<double> between_batches = 10s;
constexpr double share = 50;  // of the time goes into reports

}  // namespace

void ReportWriter::before_fit(FitState& /*state*/) {
  write();
}

void ReportWriter::after_batch(FitState& /*state*/) {
  write_after(between_batches);
}

void ReportWriter::after_both_phases(FitState& /*state*/, const EpochMetrics& /*metrics*/) {
  write_after(between_epochs);
}

void ReportWriter::cleanup_fit(FitState& /*state*/) {
  write();
}

void ReportWriter::write_after(Seconds pause) {
  if (Clock::now() - written_ >= std::max(pause, share * cost_)) write();
}

void ReportWriter::write() {
  const Clock::time_point begin = Clock::now();
  try {
    report::write_report(folder_);
  } catch (const std::exception& error) {
    if (const auto warn = std::exchange(warn_, nullptr)) {
      warn(std::string("there is no report of this run from now on: ") + error.what());
    }
  }
  written_ = Clock::now();
  cost_ = written_ - begin;
}

}  // namespace descent
