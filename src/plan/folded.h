// Inference: a product (convolution or linear layer) with what follows it as one operation. Batch norm with
// fixed statistics is a scale and a shift a channel, so it goes into weights and bias.
#pragma once

#include "descent/network.h"
#include "descent/ops.h"
#include "plan/kernel.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace descent {

// [conv | linear] [batch norm] [add] [activation], in this order; at least one of the first two.
struct FoldedRun {
  const Layer* product = nullptr;  // null: batch norm comes first
  const Layer* norm = nullptr;
  bool adds = false;  // the unit's second input
  std::optional<GeneralRelu> activation;
  std::size_t layers = 0;  // 0: nothing that can be folded

  [[nodiscard]] const Conv* conv() const { return product ? std::get_if<Conv>(&product->op) : nullptr; }
  [[nodiscard]] const Linear* linear() const { return product ? std::get_if<Linear>(&product->op) : nullptr; }
  [[nodiscard]] bool product_has_bias() const;
};

// The longest such run at the start of `run`.
[[nodiscard]] FoldedRun folded_run(std::span<const Layer* const> run);

// y = x·scale + shift for every channel of what the product, without its bias, gives.
struct ChannelRule {
  double scale = 1;
  double shift = 0;
};
// From the unit's parameters and statistics as they are now, in double.
[[nodiscard]] std::vector<ChannelRule> channel_rules(const FoldedRun& run, const Binding& binding,
                                                     std::int64_t channels);

// Weights with the scales taken in, and the shifts, rounded once. False if one of them is not a finite number.
bool fold(std::span<const ChannelRule> rules, std::span<const float> weights, std::span<float> folded,
          std::span<float> shifts);

}  // namespace descent
