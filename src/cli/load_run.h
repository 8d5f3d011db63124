// From settings to what a run works on.
#pragma once

#include "cli/run_settings.h"
#include "descent/data.h"
#include "descent/network.h"
#include "descent/parameters.h"

#include <utility>

namespace descent::cli {

// The network asked for, with as many classes as the data has.
[[nodiscard]] std::pair<Network, DataSet> load_run(const RunSettings& run);

// Those of --init-from, else drawn from the seed; so are the last layer's where that file knows another number
// of classes, which standard error is told.
[[nodiscard]] HostParameters first_parameters(const RunSettings& run, const Network& network,
                                              const ParameterLayout& layout);

}  // namespace descent::cli
