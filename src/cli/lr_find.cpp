// descent lr-find: which learning rate an optimizer may take.
#include "descent/lr_find.h"
#include "base/files.h"
#include "cli/interrupt.h"
#include "cli/load_run.h"
#include "cli/lr_find_files.h"
#include "cli/run_folder.h"
#include "cli/setting_options.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "descent/error.h"
#include "report/run_report.h"
#include "train/phase.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string_view>
#include <utility>

namespace descent::cli {

namespace {

struct FindArguments {
  std::string config;  // of --config
  std::string run;     // of --run
  std::string out;
  GivenSettings given;
  FinderSettings finder;
  bool quiet = false;
};

constexpr auto footer =
    "Prints a row a step and the suggestion; writes lr_find.csv, lr_find.json and lr-find.html (a picture)\n"
    "into the folder of --out or --run. Of a run, the report shows the curve from then on; its weights are\n"
    "neither read nor changed.";

// Settings that say nothing here: the search has its own rates and its own length, and looks at nothing else.
bool matters(const Setting& setting) {
  constexpr std::array<std::string_view, 8> without{"lr",     "schedule", "schedule-by", "warmup",
                                                    "epochs", "steps",    "watch",       "watch-every"};
  return setting.owner != Setting::Owner::schedule && std::ranges::find(without, setting.name) == without.end();
}

// A line on standard error every so many steps: on a terminal it is one line that changes.
class FinderProgress : public Observer {
 public:
  void after_loss(FitState& state) override {  // the rate changes after the step
    if (!state.training) return;
    const std::string text =
        fmt::format("step {}, rate {:.3g}, loss {:.3f}", state.step, state.learning_rate, state.batch_loss);
    if (terminal_.live()) {
      if (terminal_.in_foreground()) show(stderr, "\r\033[K" + text);
    } else if (state.step % 20 == 19) {
      show(stderr, text + '\n');
    }
  }
  void cleanup_fit(FitState& /*state*/) override {
    if (terminal_.live()) show(stderr, "\r\033[K");
  }

 private:
  Terminal terminal_{STDERR_FILENO};
};

RunSettings settings_of(const FindArguments& arguments) {
  if (!arguments.run.empty() && (!arguments.config.empty() || !arguments.out.empty())) {
    throw Error(
        fmt::format("--run reads the settings of a run and writes into its folder: {} cannot stand beside it",
                    arguments.config.empty() ? "--out" : "--config"));
  }
  std::filesystem::path config = arguments.config;
  if (!arguments.run.empty()) config = std::filesystem::path(arguments.run) / "config.toml";
  return resolve(config.empty() ? GivenSettings{} : read_config(config), arguments.given);
}

// Of --run or --out; empty: one of its own.
std::filesystem::path given_folder(const FindArguments& arguments) {
  const std::string& given = arguments.run.empty() ? arguments.out : arguments.run;
  if (!given.empty()) require_writable_folder(given);
  return given;
}

void print_search(const RateSearch& search) {
  std::vector<std::vector<std::string>> rows{{"step", "learning rate", "loss"}};
  for (const FinderRow& row : search.rows) {
    rows.push_back(
        {std::to_string(row.step), fmt::format("{:.4e}", row.rate), fmt::format("{:.4f}", row.loss)});
  }
  fmt::print("{}\n", table_text(rows, {true, true, true}));
  const RateSuggestion& answer = search.answer;
  if (answer.lowest) fmt::print("lowest loss near   {:.3g}\n", *answer.lowest);
  if (answer.steepest) fmt::print("steepest fall near {:.3g}\n", *answer.steepest);
  if (answer.suggestion) {
    fmt::print("suggested: --lr {:.2g}, {}\n", *answer.suggestion, answer.reason);
  } else {
    fmt::print("{}\n", answer.reason);
  }
}

void find(const FindArguments& arguments) {
  const RunSettings run = settings_of(arguments);
  check_finder(arguments.finder);
  const auto [network, data] = load_run(run);
  const ParameterLayout layout = parameter_layout(network);
  check_fit(network, layout, data, run.train);
  const HostParameters parameters = first_parameters(run, network, layout);
  const std::unique_ptr<Device> device = run.device.make();
  ParameterStore store(*device, layout, true);
  store.upload(parameters);
  std::filesystem::path folder = given_folder(arguments);  // before the search, which takes its time

  FinderProgress progress;
  Interrupt interrupt;
  std::vector<Observer*> others;
  if (!arguments.quiet) others.push_back(&progress);
  others.push_back(&interrupt);
  const RateSearch search = find_learning_rate(network, store, data, run.train, arguments.finder, others);
  if (Interrupt::signal() != 0) throw Exit{128 + Interrupt::signal()};

  const std::string optimizer(name(run.train.optimizer));
  if (folder.empty()) {
    folder =
        make_run_folder({}, folder_name(fmt::format("lr-find-{}-{}-{}", data.name, network.name, optimizer)));
  }
  print_search(search);
  write_finder_files(folder, search, {arguments.finder, optimizer, data.name, network.name});
  if (!arguments.run.empty()) report::write_report(folder);
  fmt::print("results in {}\n", folder.string());
}

void add_path(CLI::App& verb, const std::string& option, const std::string& type, const std::string& help,
              const std::string& standard, std::string& member) {
  add_value(verb, option, type, help, standard, [&member, option](const std::string& text) {
    if (text.empty()) throw Error(option + " needs a value");
    member = text;
  });
}

}  // namespace

void add_lr_find(CLI::App& program) {
  const auto arguments = std::make_shared<FindArguments>();
  CLI::App* verb = program.add_subcommand("lr-find", "find a learning rate");
  verb->footer(footer);
  add_path(*verb, "--run", "RUN", "take the settings of a run folder, and write the results there", "none",
           arguments->run);
  add_path(*verb, "--config", "FILE.toml", "settings from the config.toml of a run", "none", arguments->config);
  add_path(*verb, "--out", "DIR", "where the results go", "runs/lr-find-<data>-<model>-<optimizer>[-N]",
           arguments->out);
  FinderSettings& finder = arguments->finder;
  add_value(*verb, "--gamma", "X", "the rate grows by this factor every step", fmt::format("{}", finder.gamma),
            [&finder](const std::string& text) { finder.gamma = parse_number("--gamma", text, true); });
  add_value(*verb, "--max-multiple", "X", "ends when the loss is this many times its least",
            fmt::format("{}", finder.max_multiple), [&finder](const std::string& text) {
              finder.max_multiple = parse_number("--max-multiple", text, true);
            });
  add_value(*verb, "--start", "X", "the first rate", fmt::format("{}", finder.start),
            [&finder](const std::string& text) { finder.start = parse_number("--start", text, true); });
  add_value(*verb, "--max-epochs", "N", "ends after so many passes at the latest",
            fmt::format("{}", finder.max_epochs), [&finder](const std::string& text) {
              finder.max_epochs = parse_count("--max-epochs", text, 1, 1'000'000);
            });
  verb->add_flag("--quiet", arguments->quiet, "no progress on standard error (default: off)");
  for (const Setting& setting : settings()) {
    if (!matters(setting)) continue;
    add_setting(*verb, setting, [arguments](const std::string& name, Given given) {
      arguments->given[name].push_back(std::move(given));
    });
  }
  verb->callback([arguments] { find(*arguments); });
}

}  // namespace descent::cli
