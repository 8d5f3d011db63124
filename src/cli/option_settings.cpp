#include "cli/option_settings.h"

#include "descent/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <utility>

namespace descent::cli {

namespace {

constexpr std::int64_t most = 1'000'000'000;
constexpr std::array<std::string_view, 2> units{"step", "epoch"};

// Optimizers or schedules: kinds that one setting chooses from, each with options of its own.
struct Family {
  std::string_view noun;  // "optimizer"
  std::vector<std::string_view> names;
  std::vector<OptionValue> (*defaults)(std::string_view name);
  std::vector<OptionValue> (*options)(const RunSettings& run);  // of the chosen one
  std::string_view (*chosen)(const RunSettings& run);
  void (*set)(RunSettings& run, std::string_view option, double value);
};

// learning_rate → lr, weight_decay → weight-decay
std::string option_name(std::string_view option) {
  if (option == "learning_rate") return "lr";
  std::string name(option);
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// The option that `--name` sets; null if there is none.
const OptionValue* find_option(const std::vector<OptionValue>& all, std::string_view name) {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const auto& option) { return option_name(option.name) == name; });
  return found == all.end() ? nullptr : &*found;
}

Error no_such_option(const Family& family, const RunSettings& run, const std::string& name,
                     const Given& given) {
  std::string known;
  for (const OptionValue& one : family.options(run)) {
    known += (known.empty() ? "--" : ", --") + option_name(one.name);
  }
  std::string owners;
  for (const std::string_view kind : family.names) {
    if (find_option(family.defaults(kind), name) == nullptr) continue;
    owners += fmt::format("{}'{}'", owners.empty() ? "" : ", ", kind);
  }
  return Error(fmt::format("{}: {} '{}' has no such option: it has {}, and --{} belongs to {}", given.label,
                           family.noun, family.chosen(run), known.empty() ? "none" : known, name, owners));
}

double parse_option(const OptionValue& option, const Given& given) {
  if (option.whole) return static_cast<double>(parse_count(given.label, given.text, 1, most));
  return parse_number(given.label, given.text, option.name == "learning_rate" || !option.automatic.empty());
}

void set_family_option(const Family& family, RunSettings& run, const std::string& name, const Given& given) {
  const std::vector<OptionValue> all = family.options(run);
  const OptionValue* option = find_option(all, name);
  if (option == nullptr) throw no_such_option(family, run, name, given);
  const double value = parse_option(*option, given);
  try {
    family.set(run, option->name, value);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", given.label, error.what()));
  }
}

std::string option_toml(const Family& family, const RunSettings& run, const std::string& name) {
  const std::vector<OptionValue> all = family.options(run);
  const OptionValue* option = find_option(all, name);
  if (option == nullptr || (!option->automatic.empty() && option->value == 0)) return {};
  return fmt::format("{}", option->value);
}

// One setting for every option that any kind of the family has.
std::vector<Setting> family_settings(const Family& family) {
  std::vector<Setting> all;
  for (const std::string_view kind : family.names) {
    for (const OptionValue& option : family.defaults(kind)) {
      const std::string name = option_name(option.name);
      auto found = std::find_if(all.begin(), all.end(), [&](const Setting& one) { return one.name == name; });
      if (found == all.end()) {
        Setting setting{};
        setting.name = name;
        setting.type = option.whole ? "N" : "X";
        setting.help = option.help;
        setting.set = [family, name](RunSettings& run, const Given& given) {
          set_family_option(family, run, name, given);
        };
        setting.toml = [family, name](const RunSettings& run) { return option_toml(family, run, name); };
        found = all.insert(found, std::move(setting));
      }
      const std::string standard =
          option.automatic.empty() ? fmt::format("{}", option.value) : std::string(option.automatic);
      found->standard += fmt::format("{}{} {}", found->standard.empty() ? "" : ", ", kind, standard);
    }
  }
  return all;
}

Family optimizers() {
  return {"optimizer",
          optimizer_names(),
          [](std::string_view one) { return options(make_optimizer(one)); },
          [](const RunSettings& run) { return options(run.train.optimizer); },
          [](const RunSettings& run) { return name(run.train.optimizer); },
          [](RunSettings& run, std::string_view option, double value) {
            set_option(run.train.optimizer, option, value);
          }};
}

Family schedules() {
  return {"schedule",
          schedule_names(),
          [](std::string_view one) { return options(make_schedule(one)); },
          [](const RunSettings& run) { return options(run.schedule.schedule); },
          [](const RunSettings& run) { return name(run.schedule.schedule); },
          [](RunSettings& run, std::string_view option, double value) {
            set_option(run.schedule.schedule, option, value);
          }};
}

bool steers(const RunSettings& run) {
  return !std::holds_alternative<ConstantRate>(run.schedule.schedule) || run.schedule.warmup > 0;
}

bool chooses_another(const GivenSettings& config, const GivenSettings& options, std::string_view setting) {
  const auto wanted = options.find(setting);
  if (wanted == options.end()) return false;
  const auto had = config.find(setting);
  return had == config.end() || had->second.back().text != wanted->second.back().text;
}

}  // namespace

std::vector<Setting> optimizer_option_settings() {
  std::vector<Setting> all = family_settings(optimizers());
  for (Setting& setting : all) setting.owner = Setting::Owner::optimizer;
  return all;
}

std::vector<Setting> schedule_settings() {
  std::vector<Setting> all;
  all.push_back(
      {"schedule", "NAME", "how the learning rate changes: see 'descent list schedules'", "constant",
       [](RunSettings& run, const Given& given) { run.schedule.schedule = make_schedule(given.text); },
       [](const RunSettings& run) { return fmt::format("\"{}\"", name(run.schedule.schedule)); }});
  for (Setting& setting : family_settings(schedules())) {
    setting.owner = Setting::Owner::schedule;
    all.push_back(std::move(setting));
  }
  all.push_back({"schedule-by", "UNIT", "the schedule's ticks: step or epoch", "step",
                 [](RunSettings& run, const Given& given) {
                   run.schedule.by =
                       parse_choice(given.label, given.text, units) == 0 ? ScheduleBy::step : ScheduleBy::epoch;
                 },
                 [](const RunSettings& run) {
                   if (!steers(run)) return std::string();
                   return fmt::format("\"{}\"", units.at(run.schedule.by == ScheduleBy::step ? 0 : 1));
                 }});
  all.push_back({"warmup", "N", "ticks in which the learning rate first rises in a straight line", "0",
                 [](RunSettings& run, const Given& given) {
                   run.schedule.warmup = parse_count(given.label, given.text, 0, most);
                 },
                 [](const RunSettings& run) {
                   return run.schedule.warmup > 0 ? std::to_string(run.schedule.warmup) : std::string();
                 }});
  return all;
}

void drop_options_of_others(GivenSettings& config, const GivenSettings& options) {
  const bool optimizer = chooses_another(config, options, "optimizer");
  const bool schedule = chooses_another(config, options, "schedule");
  for (const Setting& setting : settings()) {
    using Owner = Setting::Owner;
    const bool goes =
        (setting.owner == Owner::optimizer && optimizer) || (setting.owner == Owner::schedule && schedule);
    if (goes) config.erase(setting.name);
  }
  // A warmup may stay, except where it cannot.
  if (!schedule) return;
  const std::string& wanted = options.at("schedule").back().text;
  const std::vector<std::string_view> known = schedule_names();
  if (std::ranges::find(known, wanted) != known.end() && !rises_for(make_schedule(wanted)).empty())
    config.erase("warmup");
}

void check_schedule_settings(const RunSettings& run, const GivenSettings& given) {
  if (!given.contains("warmup")) return;
  try {
    check_schedule(run.schedule, std::numeric_limits<std::int64_t>::max());
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", given.at("warmup").back().label, error.what()));
  }
}

}  // namespace descent::cli
