// What run.json says of a run, the machine and the program.
#pragma once

#include "descent/data.h"
#include "descent/device.h"
#include "descent/network.h"
#include "descent/optimizer.h"
#include "train/run_record.h"

#include <string>
#include <string_view>

namespace descent::cli {

[[nodiscard]] RunFacts run_facts(const Device& device, const DataSet& data, const Network& network,
                                 const Optimizer& optimizer);

// The words of a command, separated by NUL as in /proc/self/cmdline, as a shell takes them.
[[nodiscard]] std::string command_text(std::string_view words);

}  // namespace descent::cli
