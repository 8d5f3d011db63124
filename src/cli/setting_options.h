// Settings as options of a verb.
#pragma once

#include "cli/run_settings.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <string>

namespace descent::cli {

// `take` gets the setting's name and what was given.
using TakeGiven = std::function<void(const std::string& name, Given given)>;
void add_setting(CLI::App& verb, const Setting& setting, const TakeGiven& take);

}  // namespace descent::cli
