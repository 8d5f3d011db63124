// What a plan sees of itself while it runs: summaries of watched layers, and the time of every operation.
// Summaries are taken beside each kernel, while its tensors are in cache and before their memory is used
// again; nothing has to be kept for them.
#pragma once

#include "descent/device.h"
#include "plan/assembled_plan.h"

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

namespace descent {

class Observation {
 public:
  Observation(const std::vector<Node>& nodes, const PlanRequest& request);

  // Neither watches nor times: the plan then runs its kernels with nothing between them.
  [[nodiscard]] bool idle() const { return summaries_.empty() && seconds_.empty(); }

  // Where the output, or its gradient, of a node is to be summarised; null if it is not watched.
  [[nodiscard]] Summary* output_of(std::size_t node) { return target(node, &LayerSummary::output); }
  [[nodiscard]] Summary* gradient_of(std::size_t node) { return target(node, &LayerSummary::gradient); }
  [[nodiscard]] std::span<const LayerSummary> summaries() const { return summaries_; }

  enum class Direction : std::uint8_t { forward, backward };

  // Runs `work`, timed if the request asked for it.
  template <class Work>
  void time(Device& device, std::size_t node, Direction direction, const Work& work) {
    if (seconds_.empty()) return work();
    time(device, direction == Direction::forward ? seconds_[node].forward : seconds_[node].backward, work);
  }
  template <class Work>
  void time_load(Device& device, const Work& work) {
    if (seconds_.empty()) return work();
    time(device, load_, work);
  }
  [[nodiscard]] double mean_seconds(std::size_t node, Direction direction) const;
  [[nodiscard]] double mean_load_seconds() const { return load_.mean(); }

 private:
  struct Times {
    double sum = 0;
    std::int64_t count = 0;
    [[nodiscard]] double mean() const { return count > 0 ? sum / static_cast<double>(count) : 0; }
  };
  struct NodeTimes {
    Times forward;
    Times backward;
  };

  template <class Work>
  static void time(Device& device, Times& times, const Work& work) {
    device.wait();
    const auto begin = std::chrono::steady_clock::now();
    work();
    device.wait();
    times.sum += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    ++times.count;
  }
  Summary* target(std::size_t node, std::optional<Summary> LayerSummary::*part);

  std::vector<LayerSummary> summaries_;
  std::vector<std::optional<std::size_t>> summary_of_node_;  // index into summaries_
  std::vector<NodeTimes> seconds_;                           // empty: not timed
  Times load_;
};

}  // namespace descent
