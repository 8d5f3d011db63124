#include "train/statistics.h"

#include <fmt/format.h>

#include <cmath>

namespace descent {

namespace {

std::byte* at(Buffer& buffer, std::size_t element, DType type) {
  return static_cast<std::byte*>(buffer.data()) + element * size_of(type);
}

}  // namespace

void StatisticsObserver::before_fit(FitState& state) {
  if (state.settings.watch.empty()) return;
  ParameterStore& store = state.store;
  before_ = store.device().allocate(store.values().bytes());
  statistics_.parameters.clear();
  for (const ParameterEntry& entry : store.layout().trained) {
    statistics_.parameters.push_back({entry.name, {}, {}});
  }
}

void StatisticsObserver::after_backward(FitState& state) {
  if (!state.watched) return;
  ParameterStore& store = state.store;
  Device& device = store.device();
  // The gaps between tensors are zero: they do not change the norm.
  device.summarise({store.gradients().data(), device.parameter_type(), store.layout().trained_elements}, false,
                   gradient_);
  device.copy(before_.data(), store.values().data(), before_.bytes());
}

void StatisticsObserver::after_step(FitState& state) {
  if (!state.watched) return;
  ParameterStore& store = state.store;
  Device& device = store.device();
  const DType type = device.parameter_type();
  const std::vector<ParameterEntry>& entries = store.layout().trained;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const ParameterEntry& entry = entries[i];
    ParameterSummary& parameter = statistics_.parameters[i];
    const std::byte* before = at(before_, entry.offset, type);
    const std::byte* after = at(store.values(), entry.offset, type);
    device.summarise({before, type, entry.elements()}, false, parameter.value);
    device.summarise({after, type, entry.elements(), before}, false, parameter.update);
  }
  const std::span<const LayerSummary> layers = state.plan->summaries();  // waits for all the above too
  statistics_.layers.assign(layers.begin(), layers.end());
  statistics_.step = state.step;
  statistics_.gradient_norm = gradient_.norm();
  for (const Sink& sink : sinks_) sink(statistics_);
}

}  // namespace descent
