// Config files: TOML whose keys are the settings' names.
#include "base/files.h"
#include "base/names.h"
#include "base/toml.h"
#include "cli/run_settings.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace descent::cli {

namespace {

constexpr std::size_t largest_config = 1 << 20;

std::string scalar_text(const toml::node& node, const std::string& label) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* truth = node.as_boolean()) return truth->get() ? "true" : "false";
  throw Error(fmt::format("{} must be a text, a number, true or false", label));
}

std::string beside(const std::filesystem::path& config, const std::string& path) {
  return path.empty() ? path : (config.parent_path() / path).string();  // an absolute path stays what it is
}

std::vector<Given> values_of(const Setting& setting, const toml::node& node, const std::string& label) {
  const toml::array* list = node.as_array();
  if (list == nullptr) return {{label, scalar_text(node, label)}};
  if (setting.form != Setting::Form::list) throw Error(fmt::format("{} takes one value, not a list", label));
  std::vector<Given> values;
  for (const toml::node& element : *list) values.push_back({label, scalar_text(element, label)});
  return values;
}

}  // namespace

GivenSettings read_config(const std::filesystem::path& file) {
  const std::string text = read_file(file, largest_config);
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw Error(fmt::format("'{}', line {}, is not valid TOML: {}", file.string(), error.source().begin.line,
                            error.description()));
  }
  std::vector<std::string_view> names;
  for (const Setting& setting : settings()) names.push_back(setting.name);

  GivenSettings given;
  for (const auto& [key, node] : table) {
    const std::string_view name = key.str();
    const auto found = std::find_if(settings().begin(), settings().end(),
                                    [&](const auto& setting) { return setting.name == name; });
    if (found == settings().end()) {
      throw Error(fmt::format("'{}': {}", file.string(), unknown_name("setting", name, names)));
    }
    std::vector<Given> values = values_of(*found, node, fmt::format("'{}' in '{}'", name, file.string()));
    if (found->form == Setting::Form::file) {
      for (Given& value : values) value.text = beside(file, value.text);
    }
    if (!values.empty()) given.emplace(name, std::move(values));
  }
  return given;
}

}  // namespace descent::cli
