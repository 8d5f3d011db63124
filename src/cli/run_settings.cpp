#include "cli/run_settings.h"

#include "base/usable_cores.h"
#include "cli/option_settings.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace descent::cli {

namespace {

constexpr std::int64_t most = 1'000'000'000;

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      result += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      result += c;
    }
  }
  return result + '"';
}

// 'PATTERN:decay=0,rate=0.1'
ParameterGroup parse_group(const Given& given) {
  const auto malformed = [&] {
    return Error(
        fmt::format("{} must look like 'PATTERN:decay=0,rate=0.1', not '{}'", given.label, given.text));
  };
  const std::size_t colon = given.text.rfind(':');
  if (colon == std::string::npos || colon == 0) throw malformed();
  ParameterGroup group;
  group.pattern = given.text.substr(0, colon);
  std::string rest = given.text.substr(colon + 1);
  while (true) {
    const std::size_t comma = rest.find(',');
    const std::string part = rest.substr(0, comma);
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos) throw malformed();
    static constexpr std::array<std::string_view, 2> keys{"decay", "rate"};
    const std::size_t key = parse_choice(given.label, part.substr(0, equals), keys);
    const double value =
        parse_number(fmt::format("'{}' of {}", keys.at(key), given.label), part.substr(equals + 1), false);
    (key == 0 ? group.weight_decay_factor : group.rate_factor) = value;
    if (comma == std::string::npos) return group;
    rest.erase(0, comma + 1);
  }
}

std::string list_text(const std::vector<std::string>& values) {
  std::string text = "[";
  for (const std::string& value : values) text += (text.size() > 1 ? ", " : "") + quoted(value);
  return text + "]";
}

std::string groups_text(const std::vector<ParameterGroup>& groups) {
  std::vector<std::string> texts;
  for (const ParameterGroup& group : groups) {
    texts.push_back(
        fmt::format("{}:decay={},rate={}", group.pattern, group.weight_decay_factor, group.rate_factor));
  }
  return list_text(texts);
}

constexpr std::array<std::string_view, 2> decays{"decoupled", "l2"};
constexpr std::array<std::string_view, 2> initialisations{"default", "kaiming"};

bool parse_on_off(const Given& given) {
  static constexpr std::array<std::string_view, 2> words{"false", "true"};
  return parse_choice(given.label, given.text, words) == 1;
}

std::string on_off_text(bool on) {
  return on ? "true" : "false";
}

Setting count_setting(std::string name, std::string help, std::string standard,
                      std::int64_t TrainSettings::*member) {
  Setting setting{std::move(name), "N", std::move(help), std::move(standard), {}, {}};
  setting.set = [member](RunSettings& run, const Given& given) {
    run.train.*member = parse_count(given.label, given.text, 1, most);
  };
  setting.toml = [member](const RunSettings& run) { return std::to_string(run.train.*member); };
  return setting;
}

// Names or folders, kept so that a run can be repeated from any folder.
std::string anywhere(const std::string& name_or_path) {
  std::error_code error;
  const bool path = name_or_path.find('/') != std::string::npos || std::filesystem::exists(name_or_path, error);
  return path ? std::filesystem::absolute(name_or_path).lexically_normal().string() : name_or_path;
}

std::string absolute_text(const std::filesystem::path& path) {
  return quoted(std::filesystem::absolute(path).lexically_normal().string());
}

std::vector<Setting> data_settings() {
  std::vector<Setting> all;
  all.push_back({"data", "NAME|DIR", "data set: see 'descent list datasets', or a folder", "fashion-mnist",
                 [](RunSettings& run, const Given& given) { run.data = given.text; },
                 [](const RunSettings& run) {
                   const auto known = known_data_sets();
                   const bool by_name = std::any_of(known.begin(), known.end(),
                                                    [&](const auto& one) { return one.name == run.data; });
                   return quoted(by_name ? run.data : anywhere(run.data));
                 }});
  all.push_back({"model", "NAME|FILE", "network: see 'descent list models', or a network file", "convnet",
                 [](RunSettings& run, const Given& given) { run.model = given.text; },
                 [](const RunSettings& run) {
                   const auto known = builtin_networks();
                   const bool by_name = std::any_of(known.begin(), known.end(),
                                                    [&](const auto& one) { return one.name == run.model; });
                   return quoted(by_name ? run.model : anywhere(run.model));
                 }});
  return all;
}

std::vector<Setting> optimizer_settings() {
  std::vector<Setting> all;
  all.push_back({"optimizer", "NAME", "optimizer: see 'descent list optimizers'", "adam",
                 [](RunSettings& run, const Given& given) { run.train.optimizer = make_optimizer(given.text); },
                 [](const RunSettings& run) { return quoted(std::string(name(run.train.optimizer))); }});
  for (Setting& setting : optimizer_option_settings()) all.push_back(std::move(setting));
  return all;
}

// How parameters move, whatever the optimizer.
std::vector<Setting> update_settings() {
  std::vector<Setting> all;
  all.push_back(
      {"decay", "KIND", "how weight decay acts: decoupled from the gradient, or l2 added to it", "decoupled",
       [](RunSettings& run, const Given& given) {
         run.train.decay = parse_choice(given.label, given.text, decays) == 0 ? Decay::decoupled : Decay::l2;
       },
       [](const RunSettings& run) { return quoted(run.train.decay == Decay::l2 ? "l2" : "decoupled"); }});
  all.push_back({"group", "GROUP",
                 "'PATTERN:decay=0,rate=0.1': factors for parameters by name; may be repeated", "none",
                 [](RunSettings& run, const Given& given) { run.train.groups.push_back(parse_group(given)); },
                 [](const RunSettings& run) { return groups_text(run.train.groups); }, Setting::Form::list});
  all.push_back({"clip", "X", "largest norm of all gradients together", "none",
                 [](RunSettings& run, const Given& given) {
                   run.train.clip_norm = parse_number(given.label, given.text, true);
                 },
                 [](const RunSettings& run) {
                   return run.train.clip_norm > 0 ? fmt::format("{}", run.train.clip_norm) : std::string();
                 }});
  return all;
}

std::vector<Setting> length_settings() {
  std::vector<Setting> all;
  all.push_back(count_setting("epochs", "passes over the training pictures", "2", &TrainSettings::epochs));
  all.push_back(count_setting("steps", "stop after so many batches, then validate and save", "all",
                              &TrainSettings::steps));
  all.back().toml = [](const RunSettings& run) {
    return run.train.steps > 0 ? std::to_string(run.train.steps) : std::string();
  };
  all.push_back(count_setting("batch-size", "pictures a training batch", "1024", &TrainSettings::batch_size));
  all.push_back(count_setting("valid-batch-size", "pictures a validation batch", "twice --batch-size",
                              &TrainSettings::valid_batch_size));
  all.push_back({"seed", "N", "what all randomness follows from", "42",
                 [](RunSettings& run, const Given& given) {
                   run.train.seed = static_cast<std::uint64_t>(parse_count(given.label, given.text, 0));
                 },
                 [](const RunSettings& run) { return std::to_string(run.train.seed); }});
  all.push_back({"shuffle", "", "visit the training pictures in a new order every epoch", "on",
                 [](RunSettings& run, const Given& given) { run.train.shuffle = parse_on_off(given); },
                 [](const RunSettings& run) { return on_off_text(run.train.shuffle); }, Setting::Form::on_off});
  return all;
}

// How training pictures differ from epoch to epoch.
std::vector<Setting> augmentation_settings() {
  std::vector<Setting> all;
  all.push_back(
      {"flip", "", "mirror half of the training pictures, others every epoch", "off",
       [](RunSettings& run, const Given& given) { run.train.augmentation.flip = parse_on_off(given); },
       [](const RunSettings& run) { return on_off_text(run.train.augmentation.flip); }, Setting::Form::on_off});
  all.push_back({"shift", "N", "move each training picture by up to N pixels, otherwise every epoch", "0",
                 [](RunSettings& run, const Given& given) {
                   run.train.augmentation.shift = parse_count(given.label, given.text, 0, most);
                 },
                 [](const RunSettings& run) { return std::to_string(run.train.augmentation.shift); }});
  return all;
}

// What a run begins with, and what is looked at.
std::vector<Setting> start_settings() {
  std::vector<Setting> all;
  all.push_back({"init", "KIND", "first weights: default (PyTorch's) or kaiming (convolutions)", "default",
                 [](RunSettings& run, const Given& given) {
                   run.initialisation = parse_choice(given.label, given.text, initialisations) == 0
                                            ? Initialisation::pytorch
                                            : Initialisation::kaiming;
                 },
                 [](const RunSettings& run) {
                   if (!run.init_from.empty()) return std::string();
                   return quoted(run.initialisation == Initialisation::kaiming ? "kaiming" : "default");
                 }});
  all.push_back(
      {"init-from", "MODEL",
       "start from the weights of a run folder or a .safetensors file; for other classes the last layer is new",
       "none", [](RunSettings& run, const Given& given) { run.init_from = given.text; },
       [](const RunSettings& run) {
         return run.init_from.empty() ? std::string() : absolute_text(run.init_from);
       },
       Setting::Form::file});
  all.push_back(
      {"watch", "PATTERN",
       "layers to look into: '*.2' by name, 'kind:conv' by operation, or none; may be repeated",
       "kind:general_relu", [](RunSettings& run, const Given& given) { run.watch.push_back(given.text); },
       [](const RunSettings& run) { return run.watch.empty() ? std::string() : list_text(run.watch); },
       Setting::Form::list});
  all.push_back(count_setting("watch-every", "steps from one look to the next; 1: look at each", "10",
                              &TrainSettings::watch_every));
  return all;
}

std::vector<Setting> device_settings() {
  std::vector<Setting> all;
  all.push_back(
      {"device", "NAME", "where to compute: see 'descent list devices'", default_device_name(),
       [](RunSettings& run, const Given& given) { run.device.device = parse_device(given.label, given.text); },
       [](const RunSettings& run) { return quoted(run.device.device); }});
  all.push_back({"threads", "N", "threads", "the cores that affinity and the cgroup quota give",
                 [](RunSettings& run, const Given& given) {
                   run.device.options.threads = static_cast<int>(parse_count(given.label, given.text, 1, 4096));
                 },
                 [](const RunSettings& run) {
                   const int threads = run.device.options.threads;
                   return std::to_string(threads > 0 ? threads : requested_threads().value_or(usable_cores()));
                 }});
  all.push_back({"precision", "TYPE", std::string(precision_help), "f32",
                 [](RunSettings& run, const Given& given) {
                   run.device.set_precision(given.label, given.text);
                   run.train.precision = run.device.precision;
                 },
                 [](const RunSettings& run) { return quoted(std::string(run.device.precision_name())); }});
  all.push_back({"kernels", "WHOSE", std::string(kernels_help), "auto",
                 [](RunSettings& run, const Given& given) {
                   run.device.options.kernels = parse_kernels(given.label, given.text);
                 },
                 [](const RunSettings& run) { return quoted(std::string(name(run.device.options.kernels))); }});
  all.push_back({"plan", "FILE", "repeat the measured choices in the plan.json of another run",
                 "the plan cache of this machine",
                 [](RunSettings& run, const Given& given) { run.device.options.plan_file = given.text; },
                 [](const RunSettings& /*run*/) { return std::string(); }, Setting::Form::file});
  return all;
}

// The order is that of --help and of config.toml; optimizer and schedule come before their options.
std::vector<Setting> make_settings() {
  std::vector<Setting> all;
  for (auto* const some : {data_settings, optimizer_settings, schedule_settings, update_settings,
                           length_settings, augmentation_settings, start_settings, device_settings}) {
    for (Setting& setting : some()) all.push_back(std::move(setting));
  }
  return all;
}

}  // namespace

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = make_settings();
  return all;
}

RunSettings resolve(GivenSettings config, const GivenSettings& options) {
  const auto both = [](const GivenSettings& given) {
    return given.contains("init") && given.contains("init-from");
  };
  if (both(config) || both(options)) throw Error("give either --init or --init-from, not both");
  if (options.contains("init")) config.erase("init-from");
  if (options.contains("init-from")) config.erase("init");
  drop_options_of_others(config, options);
  for (const auto& [name, values] : options) config[name] = values;

  RunSettings run;
  for (const Setting& setting : settings()) {
    const auto found = config.find(setting.name);
    if (found == config.end()) continue;
    for (const Given& given : found->second) {
      if (given.text.empty()) throw Error(fmt::format("{} needs a value", given.label));
      setting.set(run, given);
    }
  }
  check_schedule_settings(run, config);
  if (run.train.valid_batch_size == 0) run.train.valid_batch_size = 2 * run.train.batch_size;
  return run;
}

std::string config_text(const RunSettings& run, const std::string& plan_file) {
  std::string text = "# Everything that decided this run. To repeat it: descent train --config THIS_FILE\n";
  for (const Setting& setting : settings()) {
    const std::string value = setting.toml(run);
    if (!value.empty()) text += fmt::format("{} = {}\n", setting.name, value);
  }
  if (!plan_file.empty()) text += fmt::format("plan = {}\n", quoted(plan_file));
  return text;
}

}  // namespace descent::cli
