// descent train: from settings to a run folder.
#include "cli/explain.h"
#include "cli/load_run.h"
#include "cli/run_folder.h"
#include "cli/run_settings.h"
#include "cli/setting_options.h"
#include "cli/training.h"
#include "cli/verbs.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

namespace descent::cli {

namespace {

struct TrainArguments {
  std::string config;  // of --config
  GivenSettings given;
  RunFolderChoice folder;
  bool explain = false;
  bool quiet = false;
  bool tensorboard = false;
};

constexpr auto footer =
    "The run folder holds config.toml, metrics.csv (a row an epoch), steps.csv (a row a batch),\n"
    "model.safetensors (the weights at the end), best.safetensors (those of the best validation\n"
    "accuracy), checkpoint.safetensors (what 'descent resume' needs to go on), plan.json (the device's\n"
    "measured choices), and report.html: all that was seen, as a page that grows while the run goes on.\n"
    "Ctrl-C finishes the step and saves; a second one ends at once. Exit codes: see 'descent --help'.";

void train(const TrainArguments& arguments) {
  RunSettings settings =
      resolve(arguments.config.empty() ? GivenSettings{} : read_config(arguments.config), arguments.given);
  check_run_folder(arguments.folder);
  const PreparedRun run = prepare_run(std::move(settings));
  const HostParameters parameters = first_parameters(run.settings, run.network, run.layout);
  const std::unique_ptr<Device> device = run.settings.device.make();
  ParameterStore store(*device, run.layout, true);
  store.upload(parameters);
  if (arguments.explain) return explain(run.network, store, run.data, run.settings.train);
  const std::string name =
      fmt::format("{}-{}-{}", run.data.name, run.network.name, descent::name(run.settings.train.optimizer));
  train_into(make_run_folder(arguments.folder, folder_name(name)), run, store,
             {arguments.quiet, arguments.tensorboard});
}

}  // namespace

void add_train(CLI::App& program) {
  const auto arguments = std::make_shared<TrainArguments>();
  CLI::App* verb = program.add_subcommand("train", "train a network and write a run folder");
  verb->footer(footer);
  add_value(*verb, "--config", "FILE.toml",
            "settings from the config.toml of another run; options given beside it count more", "none",
            [arguments](const std::string& text) { arguments->config = text; });
  for (const Setting& setting : settings()) {
    add_setting(*verb, setting, [arguments](const std::string& name, Given given) {
      arguments->given[name].push_back(std::move(given));
    });
  }
  add_value(*verb, "--out", "DIR", "the run folder", "runs/<data>-<model>-<optimizer>[-N]",
            [arguments](const std::string& text) {
              if (text.empty()) throw Error("--out needs a value");
              arguments->folder.out = text;
            });
  verb->add_flag("--force", arguments->folder.force, "overwrite the run in the run folder (default: off)");
  verb->add_flag("--explain", arguments->explain,
                 "print how the device computes every operation, and do not train (default: off)");
  verb->add_flag("--tensorboard", arguments->tensorboard,
                 "write an event file for TensorBoard into the run folder (default: off)");
  verb->add_flag("--quiet", arguments->quiet, "no progress on standard error (default: off)");
  verb->callback([arguments] { train(*arguments); });
}

}  // namespace descent::cli
