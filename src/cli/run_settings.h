// Everything that decides a training run: what options and config files set, and what a run folder records.
#pragma once

#include "cli/cli.h"
#include "descent/parameters.h"
#include "descent/schedule.h"
#include "descent/train.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace descent::cli {

struct RunSettings {
  std::string data = "fashion-mnist";
  std::string model = "convnet";
  TrainSettings train;
  ScheduleSettings schedule;
  Initialisation initialisation = Initialisation::pytorch;
  std::string init_from;           // weights to start from instead
  std::vector<std::string> watch;  // patterns of layers; empty: the usual ones
  DeviceArguments device;
};

// A value as it was given, and what errors call it: "--lr", or "'lr' in 'config.toml'".
struct Given {
  std::string label;
  std::string text;
};
using GivenSettings = std::map<std::string, std::vector<Given>, std::less<>>;  // by Setting::name

// One setting: `--name` on the command line, `name =` in a config file.
struct Setting {
  enum class Form : std::uint8_t {
    value,
    file,   // in a config file, relative to its folder
    list,   // may be given several times
    on_off  // true or false: --name and --no-name
  };
  enum class Owner : std::uint8_t { run, optimizer, schedule };

  std::string name;
  std::string type;
  std::string help;
  std::string standard;  // its default, as --help shows it
  std::function<void(RunSettings&, const Given&)> set;
  std::function<std::string(const RunSettings&)> toml;  // its value as TOML; empty: left out
  Form form = Form::value;
  Owner owner = Owner::run;  // goes when another is chosen
};
[[nodiscard]] const std::vector<Setting>& settings();

// The settings that a config file gives; the paths of its plan and weights are relative to its folder.
[[nodiscard]] GivenSettings read_config(const std::filesystem::path& file);

// Defaults, then `config`, then `options`. Another optimizer or schedule among the options drops what the
// config says of its own one.
[[nodiscard]] RunSettings resolve(GivenSettings config, const GivenSettings& options);

// Text of config.toml: every setting, and the plan file beside it if there is one.
[[nodiscard]] std::string config_text(const RunSettings& settings, const std::string& plan_file);

}  // namespace descent::cli
