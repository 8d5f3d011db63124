// descent train: from settings to a run folder.
#include "cli/explain.h"
#include "cli/interrupt.h"
#include "cli/load_run.h"
#include "cli/run_folder.h"
#include "cli/run_observers.h"
#include "cli/run_settings.h"
#include "cli/setting_options.h"
#include "cli/verbs.h"
#include "descent/error.h"
#include "descent/weights.h"
#include "train/phase.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
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
    "accuracy), plan.json (the device's measured choices), and report.html: all that was seen, as a page\n"
    "that grows while the run goes on.\n"
    "Ctrl-C finishes the step and saves; a second one ends at once. Exit codes: see 'descent --help'.";

// Activations are the usual thing to look at; a network without any is not looked into unless asked.
std::vector<WatchedLayer> watched(const RunSettings& run, const Network& network) {
  const bool usual = std::ranges::any_of(
      network.layers, [](const Layer& layer) { return std::holds_alternative<GeneralRelu>(layer.op); });
  if (!run.watch.empty()) {
    try {
      return watched_layers(network, run.watch);
    } catch (const Error& error) {
      throw Error(fmt::format("--watch: {}", error.what()));
    }
  }
  return usual ? watched_layers(network, {"kind:general_relu"}) : std::vector<WatchedLayer>{};
}

void train(const TrainArguments& arguments) {
  RunSettings run =
      resolve(arguments.config.empty() ? GivenSettings{} : read_config(arguments.config), arguments.given);
  check_run_folder(arguments.folder);
  const auto [network, data] = load_run(run);
  run.train.watch = watched(run, network);
  const ParameterLayout layout = parameter_layout(network);
  check_fit(network, layout, data, run.train);
  const auto pictures = static_cast<std::int64_t>(data.train.size());
  check_schedule(run.schedule,
                 schedule_ticks(run.schedule, run.train, batch_count(pictures, run.train.batch_size)));
  const HostParameters parameters = first_parameters(run, network, layout);
  const std::unique_ptr<Device> device = run.device.make();
  ParameterStore store(*device, layout, true);
  store.upload(parameters);
  if (arguments.explain) return explain(network, store, data, run.train);

  const std::filesystem::path folder =
      make_run_folder(arguments.folder,
                      folder_name(fmt::format("{}-{}-{}", data.name, network.name, name(run.train.optimizer))));
  {
    const RunObservers observers(folder, run, network, data, *device, {arguments.quiet, arguments.tensorboard});
    fit(network, store, data, run.train, observers.list());
  }
  if (Interrupt::signal() != 0) {
    save_model(folder / "model.safetensors", {{network, data.classes}, store.download()});
    fmt::print(stderr, "descent: ended by signal {}; the weights so far are in '{}'\n", Interrupt::signal(),
               (folder / "model.safetensors").string());
    throw Exit{128 + Interrupt::signal()};
  }
  fmt::print("results in {}\n", folder.string());
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
