#include "plan/folded.h"

#include <cmath>

namespace descent {

bool FoldedRun::product_has_bias() const {
  if (const Conv* const op = conv()) return op->bias;
  const Linear* const op = linear();
  return op != nullptr && op->bias;
}

FoldedRun folded_run(std::span<const Layer* const> run) {
  FoldedRun found;
  std::size_t next = 0;
  const auto is = [&]<class Operation>(const Operation* /*kind*/) {
    return next < run.size() && std::holds_alternative<Operation>(run[next]->op);
  };
  constexpr const Conv* conv = nullptr;
  constexpr const Linear* linear = nullptr;
  constexpr const BatchNorm* norm = nullptr;
  constexpr const Add* add = nullptr;
  constexpr const GeneralRelu* activation = nullptr;
  if (is(conv) || is(linear)) found.product = run[next++];
  if (is(norm)) found.norm = run[next++];
  if (next == 0) return found;
  if (is(add)) {
    found.adds = true;
    ++next;
  }
  if (is(activation)) found.activation = std::get<GeneralRelu>(run[next++]->op);
  found.layers = next;
  return found;
}

std::vector<ChannelRule> channel_rules(const FoldedRun& run, const Binding& binding, std::int64_t channels) {
  const auto numbers = [](const std::vector<void*>& list, std::size_t at) {
    return static_cast<const float*>(list[at]);
  };
  std::vector<ChannelRule> rules(static_cast<std::size_t>(channels));
  std::size_t parameter = run.product != nullptr ? 1 : 0;  // behind the weights
  if (run.product_has_bias()) {
    const float* const bias = numbers(binding.parameters, parameter++);
    for (std::size_t c = 0; c < rules.size(); ++c) rules[c].shift = static_cast<double>(bias[c]);
  }
  if (run.norm == nullptr) return rules;
  const double eps = std::get<BatchNorm>(run.norm->op).eps;
  const float* const scale = numbers(binding.parameters, parameter);
  const float* const shift = numbers(binding.parameters, parameter + 1);
  const float* const mean = numbers(binding.statistics, 0);
  const float* const variance = numbers(binding.statistics, 1);
  for (std::size_t c = 0; c < rules.size(); ++c) {
    const double slope = static_cast<double>(scale[c]) / std::sqrt(static_cast<double>(variance[c]) + eps);
    rules[c].scale = slope;
    rules[c].shift = (rules[c].shift - static_cast<double>(mean[c])) * slope + static_cast<double>(shift[c]);
  }
  return rules;
}

bool fold(std::span<const ChannelRule> rules, std::span<const float> weights, std::span<float> folded,
          std::span<float> shifts) {
  const std::size_t each = weights.size() / rules.size();
  bool finite = true;
  for (std::size_t c = 0; c < rules.size(); ++c) {
    for (std::size_t i = c * each; i < (c + 1) * each; ++i) {
      folded[i] = static_cast<float>(static_cast<double>(weights[i]) * rules[c].scale);
      finite = finite && std::isfinite(folded[i]);
    }
    shifts[c] = static_cast<float>(rules[c].shift);
    finite = finite && std::isfinite(shifts[c]);
  }
  return finite;
}

}  // namespace descent
