// descent resume: a run that was interrupted or killed goes on where it was left.
#include "cli/run_settings.h"
#include "cli/setting_options.h"
#include "cli/training.h"
#include "cli/verbs.h"
#include "descent/error.h"
#include "report/run_files.h"
#include "train/observers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace descent::cli {

namespace fs = std::filesystem;

namespace {

struct ResumeArguments {
  std::string folder;
  GivenSettings given;
  bool quiet = false;
  bool tensorboard = false;
};

// How far to go, and what may differ from one machine to another. With other settings it would be another run.
constexpr std::array<std::string_view, 4> lengths_and_places{"epochs", "steps", "device", "threads"};

constexpr auto footer =
    "The settings are the run's own, and its files grow on. With the same device and threads the same bits\n"
    "follow as if it had never been left. A run that Ctrl-C or SIGTERM ended goes on from its last step, one\n"
    "that was killed otherwise from its last whole epoch, and one that is done with a larger --epochs: its\n"
    "schedule is then that of the longer run.";

RunSettings settings_of(const ResumeArguments& arguments) {
  GivenSettings config = read_config(fs::path(arguments.folder) / "config.toml");
  // Times of another device or other threads say nothing here.
  if (arguments.given.contains("device") || arguments.given.contains("threads")) config.erase("plan");
  return resolve(std::move(config), arguments.given);
}

void check_left(const std::string& folder) {
  std::error_code error;
  if (!fs::exists(fs::path(folder) / CheckpointWriter::checkpoint, error)) {
    throw Error(
        fmt::format("'{}' holds no {}: give the folder of a run that has ended an epoch, or was interrupted",
                    folder, CheckpointWriter::checkpoint));
  }
  const report::RunInfo info = report::read_run_info(folder);
  if (state_text(info) == "running") {
    throw Error(fmt::format("the run in '{}' is still going on, as process {}", folder, info.pid));
  }
}

void check_unfinished(const FitPosition& position, const TrainSettings& settings, const std::string& folder) {
  const auto done = [&](std::int64_t count, const char* what) {
    return Error(fmt::format("the run in '{}' has made its {} {}: give a larger --{} to go on", folder, count,
                             what, what));
  };
  if (position.epoch >= settings.epochs) throw done(position.epoch, "epochs");
  if (settings.steps > 0 && position.step >= settings.steps) throw done(position.step, "steps");
}

void resume(const ResumeArguments& arguments) {
  check_left(arguments.folder);
  const PreparedRun run = prepare_run(settings_of(arguments));
  const FitCheckpoint from =
      load_checkpoint(fs::path(arguments.folder) / CheckpointWriter::checkpoint, run.layout);
  check_unfinished(from.position, run.settings.train, arguments.folder);
  const std::unique_ptr<Device> device = run.settings.device.make();
  ParameterStore store(*device, run.layout, true);
  train_into(arguments.folder, run, store, {arguments.quiet, arguments.tensorboard}, &from);
}

}  // namespace

void add_resume(CLI::App& program) {
  const auto arguments = std::make_shared<ResumeArguments>();
  CLI::App* verb = program.add_subcommand("resume", "go on with a run where it was left");
  verb->footer(footer);
  verb->add_option("RUN", arguments->folder, "a run folder")->required()->type_name("");
  for (const Setting& setting : settings()) {
    if (std::ranges::find(lengths_and_places, setting.name) == lengths_and_places.end()) continue;
    Setting shown = setting;
    shown.standard = "the run's";
    add_setting(*verb, shown, [arguments](const std::string& name, Given given) {
      arguments->given[name].push_back(std::move(given));
    });
  }
  verb->add_flag("--tensorboard", arguments->tensorboard,
                 "write an event file for TensorBoard into the run folder (default: off)");
  verb->add_flag("--quiet", arguments->quiet, "no progress on standard error (default: off)");
  verb->callback([arguments] { resume(*arguments); });
}

}  // namespace descent::cli
