#include "cli/model_arguments.h"

#include "base/files.h"
#include "cli/cli.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace descent::cli {

namespace {

// One name a line; empty lines at the end do not count.
std::vector<std::string> read_class_names(const std::string& file, std::int64_t wanted) {
  constexpr std::size_t max_bytes = std::size_t{16} << 20U;
  const std::string text = read_file(file, max_bytes);
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string name = text.substr(begin, end - begin);
    if (name.ends_with('\r')) name.pop_back();
    names.push_back(std::move(name));
    begin = end + 1;
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  if (static_cast<std::int64_t>(names.size()) != wanted) {
    throw Error(fmt::format("--classes: '{}' names {} classes, the model has {}", file, names.size(), wanted));
  }
  return names;
}

}  // namespace

Model ModelArguments::load() const {
  Model loaded = load_model(model, network);
  if (!classes_file.empty()) {
    loaded.description.classes = read_class_names(classes_file, loaded.description.network.classes());
  }
  return loaded;
}

void add_model_options(CLI::App& verb, ModelArguments& arguments) {
  verb.add_option("MODEL", arguments.model, "a run folder or a .safetensors file")->required()->type_name("");
  add_value(verb, "--model", "NAME|FILE", "the network, for a weights file that does not say its own", "",
            [&arguments](const std::string& text) { arguments.network = text; });
  add_value(verb, "--classes", "FILE", "names of the classes, one a line",
            "those in the model file, else their index", [&arguments](const std::string& text) {
              if (text.empty()) throw Error("--classes needs the name of a file");
              arguments.classes_file = text;
            });
}

}  // namespace descent::cli
