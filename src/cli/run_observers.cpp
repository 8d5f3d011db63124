#include "cli/run_observers.h"

#include "base/files.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/run_facts.h"
#include "report/report_writer.h"
#include "train/batch_sheet.h"
#include "train/observers.h"
#include "train/predictions.h"
#include "train/run_record.h"
#include "train/scheduler.h"
#include "train/statistics.h"
#include "train/tensorboard.h"

#include <string>

namespace descent::cli {

namespace {

// Writes what the run was made with, once the device has made its choices.
class ConfigWriter : public Observer {
 public:
  ConfigWriter(std::filesystem::path folder, const RunSettings& settings, const Device& device)
      : folder_(std::move(folder)), settings_(settings), device_(device) {}

  void before_fit(FitState& /*state*/) override {
    const std::string plan = device_.plan_text();
    if (!plan.empty()) write_file_atomically(folder_ / "plan.json", plan);
    write_file_atomically(folder_ / "config.toml", config_text(settings_, plan.empty() ? "" : "plan.json"));
  }

 private:
  std::filesystem::path folder_;
  const RunSettings& settings_;
  const Device& device_;
};

}  // namespace

RunObservers::RunObservers(const std::filesystem::path& folder, const RunSettings& run, const Network& network,
                           const DataSet& data, const Device& device, const ObserverChoice& choice,
                           const FitPosition& start) {
  add<ConfigWriter>(folder, run, device);
  add<RunRecord>(folder, run_facts(device, data, network, run.train.optimizer), network);
  add<Scheduler>(run.schedule);
  add<CsvRecorder>(folder, start);
  add<BatchSheet>(folder, data);
  add<PredictionRecorder>(folder, data);
  StatisticsObserver::Sink to_tensorboard;
  if (choice.tensorboard) {
    auto& writer = add<TensorBoardWriter>(folder);
    to_tensorboard = [&writer, &network](const StepStatistics& seen) { writer.write(seen, network); };
  }
  if (!run.train.watch.empty()) look_inside(folder, network, start.step, std::move(to_tensorboard));
  add<CheckpointWriter>(folder, ModelDescription{network, data.classes}, start);
  add<ReportWriter>(folder, warn);  // after those whose files it reads
  if (!choice.quiet) {
    add<Progress>(static_cast<std::int64_t>(data.train.size()), static_cast<std::int64_t>(data.valid.size()));
  }
  add<EpochTable>();
  add<Interrupt>();  // last: what it cuts off has been recorded
}

void RunObservers::look_inside(const std::filesystem::path& folder, const Network& network,
                               std::int64_t first_step, StatisticsObserver::Sink more) {
  const auto files = std::make_shared<StatisticsFiles>(folder, network, first_step);
  std::vector<StatisticsObserver::Sink> sinks{[files](const StepStatistics& seen) { files->write(seen); }};
  if (more) sinks.push_back(std::move(more));
  add<StatisticsObserver>(std::move(sinks));
  add<OperationTimes>(folder);
}

}  // namespace descent::cli
