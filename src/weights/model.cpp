#include "base/names.h"
#include "descent/error.h"
#include "descent/weights.h"
#include "weights/header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace descent {

namespace fs = std::filesystem;

namespace {

// Keys of the metadata. "format" is what Hugging Face's readers look for.
constexpr const char* format_key = "format";
constexpr const char* network_key = "descent.network";  // the network's TOML text
constexpr const char* classes_key = "descent.classes";  // a JSON array of names
constexpr const char* version_key = "descent.version";  // of these keys' meaning
constexpr const char* version = "1";

const std::string* find_metadata(const SafetensorsFile& content, const char* key) {
  const auto found = content.metadata.find(key);
  return found == content.metadata.end() ? nullptr : &found->second;
}

// First dimension of the network's last weight as the file has it; 0 if it has none.
std::int64_t classes_in(const SafetensorsFile& content, const Network& network) {
  const ParameterLayout layout = parameter_layout(network);
  if (layout.trained.empty()) return 0;
  const ParameterEntry& last = layout.trained.back();
  const auto found = std::ranges::find(content.tensors, last.name, &FileTensor::name);
  if (found == content.tensors.end() || found->shape.empty() || found->bytes.empty()) return 0;
  return found->shape.front();
}

std::vector<std::string> parse_classes(const std::string& text, const std::string& source) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  std::vector<std::string> classes;
  if (json.is_array() && std::ranges::all_of(json, [](const auto& name) { return name.is_string(); })) {
    for (const auto& name : json) classes.push_back(name.template get<std::string>());
    return classes;
  }
  throw Error("'" + source + "': its metadata " + classes_key + " is not a JSON array of names");
}

Network network_for(const SafetensorsFile& content, const std::optional<std::string>& name,
                    std::size_t named_classes, const std::string& source) {
  const std::string* text = find_metadata(content, network_key);
  const auto build = [&](std::int64_t classes) {
    if (name) return load_network(*name, classes);
    return parse_network(*text, source + " (metadata " + network_key + ")", classes);
  };
  if (!name && text == nullptr) {
    throw Error("'" + source + "' does not say which network it belongs to: name it with --model");
  }
  Network network = build(0);
  const std::int64_t classes =
      named_classes > 0 ? static_cast<std::int64_t>(named_classes) : classes_in(content, network);
  return classes == 0 || classes == network.classes() ? network : build(classes);
}

}  // namespace

fs::path weights_file(const fs::path& model) {
  std::error_code error;
  if (!fs::is_directory(model, error)) return model;
  const fs::path file = model / "model.safetensors";
  if (fs::exists(file, error)) return file;
  throw Error("the folder '" + model.string() +
              "' holds no model.safetensors: give a run folder or a .safetensors file");
}

Model load_model(const fs::path& model, const std::optional<std::string>& network_name) {
  const fs::path file = weights_file(model);
  const std::string source = file.string();
  const SafetensorsFile content = read_safetensors(file);
  if (const std::string* written = find_metadata(content, version_key); written && *written != version) {
    throw Error("'" + source + "' was written by another version of descent: its " + version_key + " is '" +
                shown(*written) + "', this one reads " + version);
  }
  std::vector<std::string> classes;
  if (const std::string* text = find_metadata(content, classes_key)) classes = parse_classes(*text, source);
  Model loaded{{network_for(content, network_name, classes.size(), source), std::move(classes)}, {}};
  const Network& network = loaded.description.network;
  loaded.parameters = parameters_from(content, parameter_layout(network), source);
  return loaded;
}

void save_model(const fs::path& file, const Model& model) {
  const ModelDescription& description = model.description;
  SafetensorsFile content;
  content.metadata[format_key] = "pt";
  content.metadata[network_key] = description.network.text;
  content.metadata[classes_key] =
      nlohmann::json(description.classes).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  content.metadata[version_key] = version;
  content.tensors = tensors_from(model.parameters, parameter_layout(description.network));
  write_safetensors(file, content);
}

}  // namespace descent
