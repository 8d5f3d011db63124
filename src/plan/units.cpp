#include "plan/units.h"

#include "descent/error.h"

#include <algorithm>

namespace descent {

namespace {

std::vector<std::size_t> count_readers(const PlannedLayers& planned) {
  std::vector<std::size_t> readers(planned.layers.size() + 2, 0);
  for (const Layer& layer : planned.layers) {
    for (const ValueId input : layer.inputs) ++readers[input];
  }
  return readers;
}

// Layers from `begin` on of which each is the only reader of the one before; whatever else they read
// exists before the run. A watched layer ends it: its output must exist.
std::vector<const Layer*> run_from(const PlannedLayers& planned, std::size_t begin,
                                   const std::vector<std::size_t>& readers, const PlanRequest& request) {
  const auto watched = [&](std::size_t layer) {
    return std::ranges::any_of(request.watch, [&](const WatchedLayer& one) { return one.layer == layer; });
  };
  std::vector<const Layer*> run{&planned.layers[begin]};
  for (std::size_t next = begin + 1; next < planned.layers.size() && !watched(next - 1); ++next) {
    const Layer& layer = planned.layers[next];
    const ValueId previous = next;  // the output of layer next−1
    const bool reads_previous =
        std::find(layer.inputs.begin(), layer.inputs.end(), previous) != layer.inputs.end();
    const bool others_exist = std::all_of(layer.inputs.begin(), layer.inputs.end(),
                                          [&](ValueId input) { return input == previous || input <= begin; });
    if (!reads_previous || !others_exist || readers[previous] != 1 || previous == planned.output()) break;
    run.push_back(&layer);
  }
  return run;
}

Unit make_unit(const PlannedLayers& planned, std::size_t begin, std::size_t count) {
  Unit unit;
  for (std::size_t index = begin; index < begin + count; ++index) {
    const Layer& layer = planned.layers[index];
    unit.layers.push_back(&layer);
    unit.indices.push_back(index);
    for (const ValueId input : layer.inputs) {
      const bool inside = index > begin && input == index;
      if (!inside) unit.inputs.push_back(input);
    }
  }
  unit.output = begin + count;
  return unit;
}

}  // namespace

std::string Unit::name() const {
  std::string joined;
  for (const Layer* layer : layers) joined += (joined.empty() ? "" : " + ") + layer->name;
  return joined;
}

PlannedLayers planned_layers(const Network& network, const PlanRequest& request) {
  PlannedLayers planned{network.layers, network.layers.size()};
  if (!request.loss) return planned;
  const Shape& logits = network.shape(planned.output());
  if (logits.rank() != 1) {
    throw Error("the network '" + network.name + "' ends in " + to_string(logits) +
                "; a loss needs one row of class scores a picture");
  }
  const ValueId targets = network.layers.size() + 2;
  planned.layers.push_back(Layer{"loss", SoftmaxCrossEntropy{}, {planned.output(), targets}, logits, Shape{2}});
  return planned;
}

std::vector<Unit> partition(const PlannedLayers& planned, const KernelFactory& factory,
                            const PlanRequest& request) {
  const std::vector<std::size_t> readers = count_readers(planned);
  std::vector<Unit> units;
  for (std::size_t begin = 0; begin < planned.layers.size();) {
    const std::vector<const Layer*> run = run_from(planned, begin, readers, request);
    const std::size_t claimed = std::clamp<std::size_t>(factory.claim(run, request), 1, run.size());
    units.push_back(make_unit(planned, begin, claimed));
    begin += claimed;
  }
  return units;
}

}  // namespace descent
