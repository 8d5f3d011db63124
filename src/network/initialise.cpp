// First values of the parameters. Every element is a pure function of the seed, its tensor's position
// in the layout and its own position, so loops may run in any order.
#include "descent/error.h"
#include "descent/parameters.h"
#include "descent/random.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace descent {

namespace {

constexpr double kaiming_leak = 0.1;

bool is_bias(const ParameterEntry& entry) {
  return entry.name.ends_with(".bias");
}

// Of draws: starting the first team of threads takes longer than fewer.
constexpr std::int64_t worth_a_team = 1 << 16;

void fill_uniform(std::span<float> values, const RandomKey& key, double bound) {
  const auto count = static_cast<std::int64_t>(values.size());
#pragma omp parallel for schedule(static) if (count >= worth_a_team)
  for (std::int64_t i = 0; i < count; ++i) {
    const auto position = static_cast<std::uint64_t>(i);
    const double draw = uniform(random_bits(key, position)[0]);
    values[position] = static_cast<float>((2.0 * draw - 1.0) * bound);
  }
}

void fill_normal(std::span<float> values, const RandomKey& key, double deviation) {
  const auto count = static_cast<std::int64_t>(values.size());
#pragma omp parallel for schedule(static) if (count >= worth_a_team)
  for (std::int64_t i = 0; i < count; ++i) {
    const auto position = static_cast<std::uint64_t>(i);
    values[position] = static_cast<float>(normal_pair(key, position)[0] * deviation);
  }
}

// One tensor of a layer; `op` decides its rule.
struct FirstValues {
  const Shape& input;
  const ParameterEntry& entry;
  std::span<float> values;
  RandomKey key;
  Initialisation initialisation;

  void operator()(const Conv& conv) const {
    const std::int64_t read_channels = input[0] / conv.groups;
    const auto fan_in = static_cast<double>(read_channels * conv.kernel.height * conv.kernel.width);
    if (initialisation == Initialisation::kaiming && !is_bias(entry)) {
      fill_normal(values, key, std::sqrt(2.0 / ((1.0 + kaiming_leak * kaiming_leak) * fan_in)));
    } else {
      fill_uniform(values, key, 1.0 / std::sqrt(fan_in));
    }
  }
  void operator()(const Linear& /*linear*/) const {
    fill_uniform(values, key, 1.0 / std::sqrt(static_cast<double>(input[0])));
  }
  void operator()(const BatchNorm& /*norm*/) const {
    std::fill(values.begin(), values.end(), is_bias(entry) ? 0.0F : 1.0F);
  }
  void operator()(const auto& /*other*/) const {
    throw Error("nothing says what '" + entry.name + "' holds at first", Fault::failure);
  }
};

}  // namespace

HostParameters initialise(const Network& network, const ParameterLayout& layout, Initialisation initialisation,
                          std::uint64_t seed) {
  HostParameters host;
  host.trained.resize(layout.trained_elements);
  host.statistics.resize(layout.statistic_elements);
  host.counters.resize(layout.counters.size());
  for (std::size_t tensor = 0; tensor < layout.trained.size(); ++tensor) {
    const ParameterEntry& entry = layout.trained[tensor];
    const Layer& layer = network.layers[entry.layer];
    const RandomKey key{seed, Purpose::initialise, 0, static_cast<std::uint32_t>(tensor)};
    const std::span values(host.trained.data() + entry.offset, entry.elements());
    std::visit(FirstValues{layer.input, entry, values, key, initialisation}, layer.op);
  }
  for (const ParameterEntry& entry : layout.statistics) {
    const float value = entry.name.ends_with(".running_var") ? 1.0F : 0.0F;
    std::fill_n(host.statistics.data() + entry.offset, entry.elements(), value);
  }
  return host;
}

}  // namespace descent
