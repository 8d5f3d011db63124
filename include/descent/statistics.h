// What is seen inside while a network trains: summaries of activations, of their gradients, of parameters and
// of their updates. Definitions follow fast.ai's course "Practical Deep Learning, part 2" (ActivationStats).
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace descent {

// Of the values of one tensor.
struct Summary {
  static constexpr std::size_t bins = 40;
  static constexpr double bin_width = 0.25;
  // Of |x|: bin k counts [0.25k, 0.25(k+1)), the last one 10 as well; larger values and NaN are not counted.
  using Histogram = std::array<std::int64_t, bins>;

  std::int64_t count = 0;
  double mean = 0;
  double squared_deviations = 0;  // Σ (x − mean)²
  Histogram histogram{};          // zero unless it was asked for

  // Standard deviation with n − 1; NaN of fewer than two values, as in PyTorch.
  [[nodiscard]] double standard_deviation() const {
    return std::sqrt(squared_deviations / static_cast<double>(count - 1));
  }
  // √Σx²
  [[nodiscard]] double norm() const {
    return std::sqrt(squared_deviations + static_cast<double>(count) * mean * mean);
  }
};

// Share of bin 0 among the counted values: the course's "dead chart". 0 if nothing was counted.
[[nodiscard]] double dead_share(const Summary::Histogram& histogram);

// A column of the course's `color_dim` picture: log(1 + count), a value a bin.
[[nodiscard]] std::array<double, Summary::bins> color_column(const Summary::Histogram& histogram);

// A layer that a plan summarises at every step.
struct WatchedLayer {
  std::size_t layer = 0;  // index in the network
  bool output = true;     // its output, with a histogram
  bool gradient = true;   // the gradient of the loss with respect to its output

  friend bool operator==(const WatchedLayer&, const WatchedLayer&) = default;
};

// What a step showed of one layer.
struct LayerSummary {
  std::size_t layer = 0;
  std::optional<Summary> output;
  std::optional<Summary> gradient;
};

// What a step showed of one trained tensor.
struct ParameterSummary {
  std::string name;  // "0.0.weight"
  Summary value;     // before the update
  Summary update;    // value after − value before

  // Norm of the update over the norm of the value; NaN where the value is zero.
  [[nodiscard]] double update_ratio() const {
    return value.norm() > 0 ? update.norm() / value.norm() : std::numeric_limits<double>::quiet_NaN();
  }
};

// Everything seen in one training step.
struct StepStatistics {
  std::int64_t step = 0;
  std::vector<LayerSummary> layers;
  std::vector<ParameterSummary> parameters;
  double gradient_norm = 0;  // of all gradients together, before clipping
};

struct Network;

// Layers that `patterns` name, for `--watch`: globs over layer names ("*.2", "layer1.0.bn1") or
// "kind:general_relu", over names of operations; "none" alone: nothing. Joined with the outputs of the
// network's top-level blocks that have parameters, of which only gradients are watched (the course's
// BackwardHook looks at these). In the network's order. Throws Error if a pattern matches nothing.
[[nodiscard]] std::vector<WatchedLayer> watched_layers(const Network& network,
                                                       const std::vector<std::string>& patterns);

}  // namespace descent
