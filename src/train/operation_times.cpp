#include "base/csv.h"
#include "train/statistics.h"

#include <fmt/format.h>

namespace descent {

namespace {

std::string row(const OperationReport& report) {
  return fmt::format("{},{},{},{},{:.9g},{:.9g},{:.9g}\n", csv_field(report.layer), csv_field(report.operation),
                     csv_field(report.implementation), csv_field(report.layout), report.seconds, report.flops,
                     report.bytes);
}

}  // namespace

void OperationTimes::before_fit(FitState& /*state*/) {
  plan_ = nullptr;
  updates_ = 0;
  update_seconds_ = 0;
}

void OperationTimes::after_backward(FitState& state) {
  if (!state.watched) return;
  state.store.device().wait();
  update_begin_ = std::chrono::steady_clock::now();
}

void OperationTimes::after_step(FitState& state) {
  if (!state.watched) return;
  state.store.device().wait();
  update_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - update_begin_).count();
  ++updates_;
  if (plan_ == nullptr) plan_ = state.plan;
}

void OperationTimes::after_both_phases(FitState& state, const EpochMetrics& /*metrics*/) {
  if (plan_ == nullptr) return;
  std::string text = "layer,operation,implementation,layout,seconds,flops,bytes\n";
  for (const OperationReport& report : plan_->explain(0)) text += row(report);
  text += row({"", "update", std::string(name(state.optimizer)), "",
               update_seconds_ / static_cast<double>(updates_), 0, 0});
  write_file_atomically(folder_ / "operations.csv", text);
}

}  // namespace descent
