// What `train` and `resume` do alike: from settings to a run folder.
#pragma once

#include "cli/run_observers.h"
#include "cli/run_settings.h"
#include "descent/checkpoint.h"
#include "descent/data.h"
#include "descent/network.h"
#include "descent/parameters.h"

#include <filesystem>

namespace descent::cli {

struct PreparedRun {
  RunSettings settings;
  Network network;
  DataSet data;
  ParameterLayout layout;
};

// Loads network and data. Everything about the run that can be found wrong before there is a device is thrown
// as Error.
[[nodiscard]] PreparedRun prepare_run(RunSettings settings);

// Trains what the store holds, or what `from` does, and fills the folder. A signal ends it with what is trained
// so far saved, one sentence and Exit.
void train_into(const std::filesystem::path& folder, const PreparedRun& run, ParameterStore& store,
                const ObserverChoice& choice, const FitCheckpoint* from = nullptr);

}  // namespace descent::cli
