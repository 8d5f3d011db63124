// descent list: the names that options take.
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "descent/data.h"
#include "descent/device.h"
#include "descent/error.h"
#include "descent/network.h"
#include "descent/optimizer.h"
#include "descent/parameters.h"
#include "descent/schedule.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace descent::cli {

namespace {

using Rows = std::vector<std::vector<std::string>>;

Rows models() {
  Rows rows{{"name", "input", "classes", "parameters", "summary"}};
  for (const BuiltinNetwork& builtin : builtin_networks()) {
    const Network network = load_network(std::string(builtin.name));
    rows.push_back({network.name, to_string(network.input), std::to_string(network.classes()),
                    std::to_string(parameter_count(parameter_layout(network))), network.summary});
  }
  return rows;
}

// What a rule keeps from step to step, beside the weights.
std::string kept_by(const Optimizer& optimizer) {
  const std::size_t values = slots(optimizer);
  if (values == 0) return "nothing";
  return fmt::format("{} value{} a weight", values, values == 1 ? "" : "s");
}

Rows optimizers() {
  Rows rows{{"name", "keeps", "defaults", "summary"}};
  for (const std::string_view one : optimizer_names()) {
    const Optimizer optimizer = make_optimizer(one);
    std::string defaults;
    for (const OptimizerOption& option : options(optimizer)) {
      defaults += fmt::format("{}{} {}", defaults.empty() ? "" : ", ", option.name, option.value);
    }
    rows.push_back({std::string(one), kept_by(optimizer), defaults, std::string(summary(optimizer))});
  }
  return rows;
}

Rows schedules() {
  Rows rows{{"name", "defaults", "summary"}};
  for (const std::string_view one : schedule_names()) {
    const Schedule schedule = make_schedule(one);
    std::string defaults;
    for (const OptionValue& option : options(schedule)) {
      defaults += fmt::format("{}{} ", defaults.empty() ? "" : ", ", option.name);
      defaults +=
          option.automatic.empty() ? fmt::format("{}", option.value) : fmt::format("({})", option.automatic);
    }
    rows.push_back({std::string(one), defaults, std::string(summary(schedule))});
  }
  return rows;
}

Rows data_sets() {
  Rows rows{{"name", "folder", "summary"}};
  for (const KnownDataSet& known : known_data_sets()) {
    const std::string folder = find_data_set(known).string();
    rows.push_back(
        {std::string(known.name), folder.empty() ? "not found" : folder, std::string(known.summary)});
  }
  return rows;
}

Rows devices() {
  Rows rows{{"name", "description"}};
  for (const std::string& one : device_names()) {
    try {
      rows.push_back({one, make_device(one, DeviceOptions{})->description()});
    } catch (const Error& error) {
      rows.push_back({one, std::string("not here: ") + error.what()});
    }
  }
  return rows;
}

struct Listing {
  std::string_view name;
  Rows (*rows)();
};
constexpr std::array listings{Listing{"models", models}, Listing{"optimizers", optimizers},
                              Listing{"schedules", schedules}, Listing{"datasets", data_sets},
                              Listing{"devices", devices}};

}  // namespace

void add_list(CLI::App& program) {
  const auto what = std::make_shared<std::string>();
  CLI::App* verb = program.add_subcommand("list", "list models, optimizers, schedules, datasets or devices");
  verb->add_option("WHAT", *what, "models, optimizers, schedules, datasets or devices")
      ->required()
      ->type_name("");
  verb->callback([what] {
    std::vector<std::string_view> names;
    for (const Listing& listing : listings) names.push_back(listing.name);
    fmt::print("{}", table_text(listings.at(parse_choice("WHAT", *what, names)).rows()));
  });
}

}  // namespace descent::cli
