#include "demo/demos.h"
#include "descent/random.h"

#include <cmath>

namespace descent::demo {

namespace {

constexpr std::array<Decay, 2> both{Decay::decoupled, Decay::l2};

Optimizer decaying(std::string_view rule, double rate, double decay) {
  Optimizer optimizer = make_optimizer(rule);
  set_option(optimizer, "learning_rate", rate);
  set_option(optimizer, "weight_decay", decay);
  return optimizer;
}

}  // namespace

std::vector<DecayRow> decay_rows() {
  constexpr std::array<std::array<double, 3>, 4> gradients{
      {{.1, -.2, 0}, {.3, .1, -.001}, {-.2, .05, .002}, {.05, .4, 1e-6}}};
  std::vector<DecayRow> rows;
  for (const auto& [rule, rate] : {std::pair{"sgd", 0.4}, std::pair{"adam", 6e-3}}) {
    for (const Decay decay : both) {
      DecayRow row{rule, decay, {1, -2, 0.5}};
      DoubleUpdate update(decaying(rule, rate, 0.1), row.weights.size(), decay);
      for (const auto& gradient : gradients) update.step(row.weights, gradient);
      rows.push_back(row);
    }
  }
  return rows;
}

std::vector<DecayCurve> decay_curves(std::int64_t steps, std::uint64_t seed) {
  constexpr double large = 1;
  constexpr double small = 0.01;
  std::vector<DecayCurve> curves;
  for (const auto& [rule, rate] : {std::pair{"sgd", 0.01}, std::pair{"adam", 0.01}}) {
    for (const Decay decay : both) {
      DecayCurve curve{rule, decay, {1}, {1}};
      DoubleUpdate update(decaying(rule, rate, 0.3), 2, decay);
      std::array<double, 2> weights{1, 1};
      for (std::int64_t step = 0; step < steps; ++step) {
        const double noise = normal_pair({seed, Purpose::demo, 0, 2}, static_cast<std::uint64_t>(step))[0];
        const std::array<double, 2> gradient{large * noise, small * noise};
        update.step(weights, gradient);
        curve.large.push_back(std::abs(weights[0]));
        curve.small.push_back(std::abs(weights[1]));
      }
      curves.push_back(std::move(curve));
    }
  }
  return curves;
}

}  // namespace descent::demo
