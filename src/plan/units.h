// From layers to units: which neighbours a device computes as one kernel.
#pragma once

#include "plan/kernel.h"

#include <optional>
#include <variant>
#include <vector>

namespace descent {

// The network's layers, and the loss as one more layer if the request asks for it. Its second input, the
// targets, is the value after all layers' outputs.
struct PlannedLayers {
  std::vector<Layer> layers;
  std::size_t network_layers = 0;  // without the loss

  [[nodiscard]] ValueId output() const { return network_layers; }      // the network's: logits
  [[nodiscard]] ValueId targets() const { return layers.size() + 1; }  // only with a loss
};

[[nodiscard]] PlannedLayers planned_layers(const Network& network, const PlanRequest& request);

// Asks the factory at each layer how many of the run that begins there it claims. The network's output is
// never swallowed: somebody reads it. `layers` must outlive the units.
[[nodiscard]] std::vector<Unit> partition(const PlannedLayers& layers, const KernelFactory& factory,
                                          const PlanRequest& request);

// The first operation of that kind in a unit.
template <class Operation>
std::optional<Operation> operation_in(const Unit& unit) {
  for (const Layer* layer : unit.layers) {
    if (const auto* op = std::get_if<Operation>(&layer->op)) return *op;
  }
  return {};
}

}  // namespace descent
