#include "cli/training.h"

#include "cli/interrupt.h"
#include "cli/load_run.h"
#include "cli/verbs.h"
#include "descent/error.h"
#include "train/phase.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>
#include <variant>
#include <vector>

namespace descent::cli {

namespace {

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

}  // namespace

PreparedRun prepare_run(RunSettings settings) {
  auto [network, data] = load_run(settings);
  settings.train.watch = watched(settings, network);
  ParameterLayout layout = parameter_layout(network);
  check_fit(network, layout, data, settings.train);
  const auto pictures = static_cast<std::int64_t>(data.train.size());
  check_schedule(settings.schedule, schedule_ticks(settings.schedule, settings.train,
                                                   batch_count(pictures, settings.train.batch_size)));
  return {std::move(settings), std::move(network), std::move(data), std::move(layout)};
}

void train_into(const std::filesystem::path& folder, const PreparedRun& run, ParameterStore& store,
                const ObserverChoice& choice, const FitCheckpoint* from) {
  {
    const RunObservers observers(folder, run.settings, run.network, run.data, store.device(), choice,
                                 from == nullptr ? FitPosition{} : from->position);
    fit(run.network, store, run.data, run.settings.train, observers.list(), from);
  }
  if (Interrupt::signal() != 0) {
    fmt::print(stderr, "descent: ended by signal {}; 'descent resume {}' goes on\n", Interrupt::signal(),
               folder.string());
    throw Exit{128 + Interrupt::signal()};
  }
  fmt::print("results in {}\n", folder.string());
}

}  // namespace descent::cli
