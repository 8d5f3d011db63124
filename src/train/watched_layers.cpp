#include "base/names.h"
#include "descent/error.h"
#include "descent/network.h"
#include "descent/statistics.h"

#include <algorithm>
#include <string_view>

namespace descent {

namespace {

constexpr std::string_view kind_prefix = "kind:";

bool matches(const Layer& layer, std::string_view pattern) {
  if (pattern.starts_with(kind_prefix)) {
    pattern.remove_prefix(kind_prefix.size());
    return matches_glob(pattern, name(layer.op));
  }
  return matches_glob(pattern, layer.name);
}

// Says what there would be to watch.
[[noreturn]] void refuse(const Network& network, const std::string& pattern) {
  std::vector<std::string_view> names;
  const bool kind = pattern.starts_with(kind_prefix);
  for (const Layer& layer : network.layers) {
    const std::string_view one = kind ? name(layer.op) : std::string_view(layer.name);
    if (std::ranges::find(names, one) == names.end()) names.push_back(one);
  }
  const std::string given = kind ? pattern.substr(kind_prefix.size()) : pattern;
  throw Error(unknown_name(kind ? "kind of layer" : "layer", given, names));
}

bool has_parameters(const Layer& layer) {
  return !parameters_of(layer.op, layer.input).empty();
}

std::string_view block_of(const Layer& layer) {
  return std::string_view(layer.name).substr(0, layer.name.find('.'));
}

// The last layers of top-level blocks that have parameters.
std::vector<bool> block_outputs(const Network& network) {
  const std::vector<Layer>& layers = network.layers;
  std::vector<bool> ends(layers.size(), false);
  bool parameters = false;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    parameters = parameters || has_parameters(layers[i]);
    if (i + 1 < layers.size() && block_of(layers[i]) == block_of(layers[i + 1])) continue;
    ends[i] = parameters;
    parameters = false;
  }
  return ends;
}

}  // namespace

std::vector<WatchedLayer> watched_layers(const Network& network, const std::vector<std::string>& patterns) {
  if (patterns.empty() || (patterns.size() == 1 && patterns.front() == "none")) return {};
  std::vector<bool> asked_for(network.layers.size(), false);
  for (const std::string& pattern : patterns) {
    bool any = false;
    for (std::size_t i = 0; i < network.layers.size(); ++i) {
      if (!matches(network.layers[i], pattern)) continue;
      asked_for[i] = true;
      any = true;
    }
    if (!any) refuse(network, pattern);
  }
  const std::vector<bool> ends = block_outputs(network);
  std::vector<WatchedLayer> watched;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    if (asked_for[i] || ends[i]) watched.push_back({i, asked_for[i], true});
  }
  return watched;
}

}  // namespace descent
