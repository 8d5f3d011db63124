#include "descent/network.h"

#include "base/files.h"
#include "base/names.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <filesystem>

namespace descent {

std::int64_t Network::classes() const {
  return layers.empty() ? 0 : layers.back().output[0];
}

Network load_network(const std::string& name_or_file, std::int64_t classes) {
  constexpr std::size_t max_bytes = std::size_t{1} << 20U;
  std::vector<std::string_view> names;
  for (const BuiltinNetwork& builtin : builtin_networks()) {
    if (builtin.name == name_or_file) {
      return parse_network(builtin.text, fmt::format("built-in network '{}'", builtin.name), classes);
    }
    names.push_back(builtin.name);
  }
  const std::filesystem::path file(name_or_file);
  const bool is_path = file.extension() == ".toml" || name_or_file.find('/') != std::string::npos;
  if (!is_path) {
    throw Error(unknown_name("network", name_or_file, names) + " (or give the path of a .toml file)");
  }
  return parse_network(read_file(file, max_bytes), name_or_file, classes);
}

void check_training_batch(const Network& network, std::int64_t batch) {
  if (batch < 1) throw Error(fmt::format("a training batch cannot hold {} pictures", batch));
  for (const Layer& layer : network.layers) {
    if (!std::holds_alternative<BatchNorm>(layer.op)) continue;
    const std::int64_t values = batch * (layer.input.elements() / layer.input[0]);
    if (values > 1) continue;
    throw Error(
        fmt::format("layer '{}': a training batch of {} picture leaves batch normalisation a single value a "
                    "channel of its input {}; use a batch size, and a last batch, of at least 2",
                    layer.name, batch, to_string(layer.input)));
  }
}

}  // namespace descent
