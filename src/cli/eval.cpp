// descent eval: loss and accuracy of a model on the validation pictures of a data set, and what it took for
// what.
#include "base/files.h"
#include "base/toml.h"
#include "cli/cli.h"
#include "cli/model_arguments.h"
#include "cli/run_folder.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "descent/data.h"
#include "descent/error.h"
#include "descent/train.h"
#include "train/predictions.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace descent::cli {

namespace fs = std::filesystem;

namespace {

struct EvalArguments {
  ModelArguments model;
  std::string data;  // empty: what the run was trained on, else fashion-mnist
  std::string out;   // empty: no files
  bool json = false;
  std::int64_t batch_size = 2048;
  DeviceArguments device;
};

// The data set that a run folder was trained on; fashion-mnist for a model file alone.
std::string default_data(const std::string& model) {
  constexpr std::size_t max_bytes = std::size_t{1} << 20U;
  const fs::path config = fs::path(model) / "config.toml";
  std::error_code error;
  if (!fs::exists(config, error)) return "fashion-mnist";
  try {
    const toml::table table = toml::parse(read_file(config, max_bytes), config.string());
    return table["data"].value_or(std::string("fashion-mnist"));
  } catch (const toml::parse_error& fault) {
    throw Error(fmt::format("'{}' cannot be read: {}", config.string(), fault.description()));
  }
}

void print_metrics(const PhaseMetrics& metrics, const std::string& data, bool json) {
  if (json) {
    fmt::print("{{\"loss\":{},\"accuracy\":{},\"images\":{},\"seconds\":{}}}\n", json_number(metrics.loss),
               json_number(metrics.accuracy), metrics.pictures, json_number(metrics.seconds));
    return;
  }
  fmt::print("{}", table_text({{"data", data},
                               {"loss", fmt::format("{:.7g}", metrics.loss)},
                               {"accuracy", fmt::format("{:.7g}", metrics.accuracy)},
                               {"images", std::to_string(metrics.pictures)},
                               {"seconds", fmt::format("{:.3f}", metrics.seconds)}}));
}

// A run's files tell of its own validation.
void check_out(const std::string& out) {
  if (out.empty()) return;
  if (holds_run(out)) throw Error(fmt::format("--out '{}' holds a run: choose another folder", out));
  require_writable_folder(out);
}

void run(const EvalArguments& arguments) {
  const Model model = arguments.model.load();
  const Network& network = model.description.network;
  const std::string name = arguments.data.empty() ? default_data(arguments.model.model) : arguments.data;
  DataSet data = load_data_set(name, network.input);
  const auto classes = static_cast<std::size_t>(network.classes());
  if (match_classes(data, model.description.classes, classes) == ClassMatch::by_number) {
    warn(fmt::format("the classes of '{}' are numbers: each is taken for the model's class in that place",
                     data.name));
  }
  check_out(arguments.out);
  const std::unique_ptr<Device> device = arguments.device.make();
  ParameterStore store(*device, parameter_layout(network), false);
  store.upload(model.parameters);
  const std::vector<std::string>& names = model.description.classes;
  Predictions predictions(data.valid, names.empty() ? data.classes : names);
  AfterBatch take;
  if (!arguments.out.empty()) take = [&](Plan& plan, auto indices) { predictions.take(plan, indices); };
  const PhaseMetrics metrics =
      evaluate(network, store, data.valid, arguments.batch_size, arguments.device.precision, take);
  if (!arguments.out.empty()) predictions.write(arguments.out);
  print_metrics(metrics, data.name, arguments.json);
}

}  // namespace

void add_eval(CLI::App& program) {
  const auto arguments = std::make_shared<EvalArguments>();
  CLI::App* verb = program.add_subcommand("eval", "measure a model's loss and accuracy on validation pictures");
  add_model_options(*verb, arguments->model);
  add_value(*verb, "--data", "NAME|DIR", "data set: see 'descent list datasets', or a folder",
            "the run's own, else fashion-mnist", [arguments](const std::string& text) {
              if (text.empty()) throw Error("--data needs a name or a folder");
              arguments->data = text;
            });
  add_value(*verb, "--out", "DIR",
            "a folder for confusion.csv, worst.csv and worst.png: what was taken for what", "none",
            [arguments](const std::string& text) {
              if (text.empty()) throw Error("--out needs a folder");
              arguments->out = text;
            });
  verb->add_flag("--json", arguments->json, "print one JSON object (default: off)");
  add_value(*verb, "--batch-size", "N", "pictures at a time", std::to_string(arguments->batch_size),
            [arguments](const std::string& text) {
              arguments->batch_size = parse_count("--batch-size", text, 1, 1 << 20);
            });
  add_device_options(*verb, arguments->device);
  verb->callback([arguments] { run(*arguments); });
}

}  // namespace descent::cli
