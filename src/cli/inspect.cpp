// descent inspect: what a model, a weights file or a network is made of.
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "descent/error.h"
#include "descent/weights.h"
#include "network/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace descent::cli {

namespace fs = std::filesystem;

namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string one_line(std::string_view text) {
  constexpr std::size_t longest = 100;
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos && text.size() <= longest) return std::string(text);
  return fmt::format("{} … ({} bytes)", text.substr(0, std::min({end, longest, text.size()})), text.size());
}

void print_metadata(const std::map<std::string, std::string>& metadata) {
  Rows rows;
  for (const auto& [key, value] : metadata) rows.push_back({"  " + one_line(key), one_line(value)});
  fmt::print("\nmetadata{}\n{}", rows.empty() ? ": none" : "", table_text(rows));
}

std::string millions(std::int64_t count) {
  return fmt::format("{:.3f}", static_cast<double>(count) / 1e6);
}

void print_network(const Network& network) {
  const Normalisation& normalisation = network.normalisation;
  fmt::print("{}",
             table_text({{"network", fmt::format("{}: {}", network.name, network.summary)},
                         {"input", to_string(network.input)},
                         {"normalisation", fmt::format("mean {}, std {}", fmt::join(normalisation.mean, " "),
                                                       fmt::join(normalisation.std, " "))},
                         {"classes", std::to_string(network.classes())}}));
  Rows rows{{"layer", "operation", "input", "output", "parameters", "MMAC", "MFLOPs"}};
  std::int64_t parameters = 0;
  std::int64_t work = 0;
  for (const LayerRow& row : layer_rows(network)) {
    rows.push_back({row.layer, row.operation, to_string(row.input), to_string(row.output),
                    std::to_string(row.parameters), millions(row.macs), millions(2 * row.macs)});
    parameters += row.parameters;
    work += row.macs;
  }
  rows.push_back({"total", "", "", "", std::to_string(parameters), millions(work), millions(2 * work)});
  fmt::print("\n{}", table_text(rows, {false, false, false, false, true, true, true}));
  fmt::print("\nMMAC: million multiply-accumulates, forward, one picture. MFLOPs: twice that.\n");
}

std::string shape_text(const FileTensor& tensor) {
  return tensor.shape.empty() ? "scalar" : fmt::format("{}", fmt::join(tensor.shape, "×"));
}

void print_tensors(const SafetensorsFile& content) {
  Rows rows{{"tensor", "type", "shape", "bytes"}};
  std::size_t bytes = 0;
  for (const FileTensor& tensor : content.tensors) {
    rows.push_back({one_line(tensor.name), std::string(name(tensor.type)), shape_text(tensor),
                    std::to_string(tensor.bytes.size())});
    bytes += tensor.bytes.size();
  }
  rows.push_back({fmt::format("{} tensors", content.tensors.size()), "", "", std::to_string(bytes)});
  fmt::print("{}", table_text(rows, {false, false, false, true}));
}

bool is_network_name(const std::string& text) {
  if (fs::path(text).extension() == ".toml") return true;
  std::error_code error;
  return !fs::exists(text, error) &&
         std::ranges::any_of(builtin_networks(), [&](const BuiltinNetwork& one) { return one.name == text; });
}

void run(const std::string& subject, const std::optional<std::string>& network) {
  if (is_network_name(subject)) return print_network(load_network(subject));
  std::error_code error;
  const fs::path file =
      fs::is_directory(subject, error) ? fs::path(subject) / "model.safetensors" : fs::path(subject);
  std::map<std::string, std::string> metadata;
  if (fs::exists(file, error)) {  // else load_model says what is missing
    const SafetensorsFile content = read_safetensors(file);
    metadata = content.metadata;
    if (!network && !metadata.contains("descent.network")) {
      print_tensors(content);
      return print_metadata(metadata);
    }
  }
  const Model model = load_model(subject, network);
  print_network(model.description.network);
  const std::vector<std::string>& classes = model.description.classes;
  if (!classes.empty()) fmt::print("\nclasses\n");
  for (std::size_t i = 0; i < classes.size(); ++i) fmt::print("  {:>3}  {}\n", i, one_line(classes[i]));
  print_metadata(metadata);
}

}  // namespace

void add_inspect(CLI::App& program) {
  struct Arguments {
    std::string subject;
    std::optional<std::string> network;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = program.add_subcommand("inspect", "show layers, shapes, parameters, work and metadata");
  verb->add_option("MODEL", arguments->subject,
                   "a run folder, a .safetensors file, or a network's name or .toml file")
      ->required()
      ->type_name("");
  add_value(*verb, "--model", "NAME|FILE", "the network, for a weights file that does not say its own", "",
            [arguments](const std::string& text) { arguments->network = text; });
  verb->callback([arguments] { run(arguments->subject, arguments->network); });
}

}  // namespace descent::cli
