#include "network/table.h"

namespace descent {

namespace {

std::int64_t trained_elements(const Layer& layer) {
  std::int64_t count = 0;
  for (const ParameterSpec& spec : parameters_of(layer.op, layer.input)) {
    if (spec.kind == ParameterSpec::Kind::trained) count += spec.shape.elements();
  }
  return count;
}

}  // namespace

std::vector<LayerRow> layer_rows(const Network& network) {
  std::vector<LayerRow> rows;
  for (const Layer& layer : network.layers) {
    rows.push_back({layer.name, std::string(name(layer.op)), layer.input, layer.output, trained_elements(layer),
                    multiply_accumulates(layer.op, layer.input, layer.output)});
  }
  return rows;
}

}  // namespace descent
