#include "demo/demos.h"
#include "descent/random.h"

#include <cmath>

namespace descent::demo {

std::vector<double> weighted_average(std::span<const double> values, double beta) {
  std::vector<double> averages;
  double average = 0;
  for (const double value : values) {
    average = beta * average + (1 - beta) * value;
    averages.push_back(average);
  }
  return averages;
}

Points noisy_parabola(std::uint64_t seed) {
  constexpr std::size_t count = 100;
  Points points;
  for (std::size_t i = 0; i < count; ++i) {
    const double x = -4 + 8 * static_cast<double>(i) / (count - 1);
    const double noise = normal_pair({seed, Purpose::demo, 0, 0}, i)[0];
    points.x.push_back(x);
    points.y.push_back(1 - std::pow(x / 3, 2) + 0.1 * noise);
  }
  return points;
}

std::vector<SignRow> sign_rows(std::int64_t history) {
  const auto subtracted = [](Optimizer rule, double gradient, std::int64_t before) {
    set_option(rule, "learning_rate", 1);
    DoubleUpdate update(rule, 1);
    double weight = 0;
    const double one = 1;
    for (std::int64_t step = 0; step < before; ++step) update.step({&weight, 1}, {&one, 1});
    weight = 0;
    update.step({&weight, 1}, {&gradient, 1});
    return -weight;
  };
  std::vector<SignRow> rows;
  for (const double gradient : sign_gradients) {
    rows.push_back({gradient, gradient / std::sqrt(gradient * gradient), subtracted(RmsProp{}, gradient, 0),
                    subtracted(Adam{}, gradient, 0), subtracted(RmsProp{}, gradient, history),
                    subtracted(Adam{}, gradient, history)});
  }
  return rows;
}

}  // namespace descent::demo
