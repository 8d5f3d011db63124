#include "demo/demos.h"

#include <algorithm>
#include <utility>

namespace descent::demo {

DoubleUpdate::DoubleUpdate(Optimizer optimizer, std::size_t weights, Decay decay)
    : optimizer_(optimizer), decay_(decay), state_(weights * slots(optimizer)) {}

void DoubleUpdate::set_rate(double rate) {
  set_option(optimizer_, "learning_rate", rate);
}

void DoubleUpdate::step(std::span<double> weights, std::span<const double> gradients) {
  ++step_;
  std::visit(
      [&]<class Rule>(const Rule& rule) {
        const typename Rule::template Step<double> update(rule, UpdateMoment{rule.learning_rate, step_});
        for (std::size_t i = 0; i < weights.size(); ++i) {
          double gradient = gradients[i];
          if (decay_ == Decay::l2) gradient += rule.weight_decay * weights[i];
          if (decay_ == Decay::decoupled) weights[i] *= 1 - rule.learning_rate * rule.weight_decay;
          std::array<double, Rule::slots> state{};
          const auto kept = std::span(state_).subspan(i * Rule::slots, Rule::slots);
          std::ranges::copy(kept, state.begin());
          weights[i] -= update(gradient, state);
          std::ranges::copy(state, kept.begin());
        }
      },
      optimizer_);
}

}  // namespace descent::demo
