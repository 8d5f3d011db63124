// Where each tensor of a network lies in the flat buffers.
#include "descent/parameters.h"

#include <utility>

namespace descent {

namespace {

// Offsets are multiples of 64 bytes in f32, so that vector loops start aligned.
constexpr std::size_t alignment = 16;

std::size_t aligned(std::size_t elements) {
  return (elements + alignment - 1) / alignment * alignment;
}

// Appends the entry behind those before it and returns the new end.
std::size_t append(std::vector<ParameterEntry>& entries, ParameterEntry entry, std::size_t end) {
  entry.offset = end;
  end += aligned(entry.elements());
  entries.push_back(std::move(entry));
  return end;
}

}  // namespace

ParameterLayout parameter_layout(const Network& network) {
  ParameterLayout layout;
  for (std::size_t index = 0; index < network.layers.size(); ++index) {
    const Layer& layer = network.layers[index];
    for (const ParameterSpec& spec : parameters_of(layer.op, layer.input)) {
      ParameterEntry entry{layer.name + "." + spec.suffix, index, spec.shape, 0};
      switch (spec.kind) {
        case ParameterSpec::Kind::trained:
          layout.trained_elements = append(layout.trained, std::move(entry), layout.trained_elements);
          break;
        case ParameterSpec::Kind::statistic:
          layout.statistic_elements = append(layout.statistics, std::move(entry), layout.statistic_elements);
          break;
        case ParameterSpec::Kind::counter:
          entry.offset = layout.counters.size();
          layout.counters.push_back(std::move(entry));
          break;
      }
    }
  }
  return layout;
}

std::int64_t parameter_count(const ParameterLayout& layout) {
  std::int64_t count = 0;
  for (const ParameterEntry& entry : layout.trained) count += entry.shape.elements();
  return count;
}

}  // namespace descent
