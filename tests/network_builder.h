// Small networks for tests, built layer by layer.
#pragma once

#include "descent/network.h"

#include <string>
#include <utility>
#include <vector>

namespace descent::test {

class NetworkBuilder {
 public:
  explicit NetworkBuilder(const Shape& input) {
    network_.name = "test";
    network_.input = input;
    const auto channels = static_cast<std::size_t>(input[0]);
    network_.normalisation = {std::vector<float>(channels, 0.0F), std::vector<float>(channels, 1.0F)};
  }

  // Reads the value added last (at first the network's input). Returns the layer's output.
  ValueId add(Op op) { return add(op, {network_.layers.size()}); }
  ValueId add(Op op, std::vector<ValueId> inputs) {
    std::vector<Shape> shapes;
    for (const ValueId input : inputs) shapes.push_back(network_.shape(input));
    Layer layer;
    layer.name = std::to_string(network_.layers.size());
    layer.input = shapes.front();
    layer.output = infer_output(op, shapes);
    layer.op = op;
    layer.inputs = std::move(inputs);
    network_.layers.push_back(std::move(layer));
    return network_.layers.size();
  }

  [[nodiscard]] Network build() const { return network_; }

 private:
  Network network_;
};

}  // namespace descent::test
