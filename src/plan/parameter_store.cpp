#include "descent/device.h"
#include "descent/error.h"
#include "descent/parameters.h"

#include <utility>

namespace descent {

ParameterStore::ParameterStore(Device& device, ParameterLayout layout, bool with_gradients)
    : device_(&device),
      layout_(std::move(layout)),
      values_(device.allocate(layout_.trained_elements * size_of(device.parameter_type()))),
      gradients_(with_gradients ? device.allocate(layout_.trained_elements * size_of(device.parameter_type()))
                                : Buffer{}),
      statistics_(device.allocate(layout_.statistic_elements * size_of(device.parameter_type()))),
      counters_(layout_.counters.size(), 0) {}

void ParameterStore::upload(const HostParameters& host) {
  if (host.trained.size() != layout_.trained_elements || host.statistics.size() != layout_.statistic_elements ||
      host.counters.size() != counters_.size()) {
    throw Error("these parameters belong to another network");
  }
  device_->upload(values_.data(), device_->parameter_type(), host.trained);
  device_->upload(statistics_.data(), device_->parameter_type(), host.statistics);
  counters_ = host.counters;
  mark_changed();
}

HostParameters ParameterStore::download() const {
  HostParameters host{std::vector<float>(layout_.trained_elements),
                      std::vector<float>(layout_.statistic_elements), counters_};
  device_->download(host.trained, values_.data(), device_->parameter_type());
  device_->download(host.statistics, statistics_.data(), device_->parameter_type());
  return host;
}

std::vector<float> ParameterStore::download_gradients() const {
  std::vector<float> gradients(layout_.trained_elements);
  device_->download(gradients, gradients_.data(), device_->parameter_type());
  return gradients;
}

OptimizerState::OptimizerState(Device& device, const ParameterLayout& layout, std::size_t slots)
    : slots_(slots),
      values_(device.allocate(slots * layout.trained_elements * size_of(device.parameter_type()))) {}

}  // namespace descent
