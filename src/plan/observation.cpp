#include "plan/observation.h"

#include "descent/error.h"

#include <algorithm>

namespace descent {

Observation::Observation(const std::vector<Node>& nodes, const PlanRequest& request)
    : summary_of_node_(nodes.size()), seconds_(request.profile ? nodes.size() : 0) {
  for (const WatchedLayer& watched : request.watch) {
    const auto node = std::ranges::find_if(
        nodes, [&](const Node& one) { return !one.layers.empty() && one.layers.back() == watched.layer; });
    if (node == nodes.end()) {
      throw Error("layer " + std::to_string(watched.layer) + " is to be watched, but no kernel ends with it",
                  Fault::failure);
    }
    LayerSummary summary{watched.layer, {}, {}};
    if (watched.output) summary.output.emplace();
    if (watched.gradient && request.mode == Mode::train) summary.gradient.emplace();
    summary_of_node_[static_cast<std::size_t>(node - nodes.begin())] = summaries_.size();
    summaries_.push_back(summary);
  }
}

Summary* Observation::target(std::size_t node, std::optional<Summary> LayerSummary::*part) {
  const std::optional<std::size_t> index = summary_of_node_[node];
  if (!index) return nullptr;
  std::optional<Summary>& summary = summaries_[*index].*part;
  return summary ? &*summary : nullptr;
}

double Observation::mean_seconds(std::size_t node, Direction direction) const {
  if (seconds_.empty()) return 0;
  return direction == Direction::forward ? seconds_[node].forward.mean() : seconds_[node].backward.mean();
}

}  // namespace descent
