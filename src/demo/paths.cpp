#include "demo/demos.h"
#include "descent/random.h"
#include "descent/schedule.h"

#include <algorithm>
#include <cmath>

namespace descent::demo {

namespace {

bool divides_by_size(const Optimizer& optimizer) {
  const auto all = options(optimizer);
  return std::ranges::any_of(all, [](const OptimizerOption& option) { return option.name == "beta2"; });
}

// With its own rate, or with `rate` if the rule divides by the gradient's size: its rate is the length of a
// step.
Optimizer with_step(std::string_view rule, double factor, double step) {
  Optimizer optimizer = make_optimizer(rule);
  const double own = options(optimizer).front().value;
  set_option(optimizer, "learning_rate", divides_by_size(optimizer) ? step : own * factor);
  set_option(optimizer, "weight_decay", 0);
  return optimizer;
}

double mean_squared_error(const Points& points, const std::array<double, 2>& line) {
  double sum = 0;
  for (std::size_t i = 0; i < points.x.size(); ++i) {
    sum += std::pow(line[0] * points.x[i] + line[1] - points.y[i], 2);
  }
  return sum / static_cast<double>(points.x.size());
}

LineFit fit_line(const Points& points, std::string_view rule, std::int64_t epochs, bool anneal) {
  Optimizer optimizer = with_step(rule, 0.2, 0.1);
  LineFit fit;
  fit.optimizer = rule;
  fit.rate = options(optimizer).front().value;
  std::array<double, 2> line{0, 0};
  DoubleUpdate update(optimizer, 2);
  const auto total = epochs * static_cast<std::int64_t>(points.x.size());
  for (std::int64_t step = 0; step < total; ++step) {
    const std::size_t i = static_cast<std::size_t>(step) % points.x.size();
    if (anneal) update.set_rate(CosineRate{}.at({fit.rate, step, total}).rate);
    const double miss = line[0] * points.x[i] + line[1] - points.y[i];
    const std::array<double, 2> gradient{2 * miss * points.x[i], 2 * miss};
    update.step(line, gradient);
    fit.errors.push_back(mean_squared_error(points, line));
  }
  fit.slope = line[0];
  fit.intercept = line[1];
  return fit;
}

}  // namespace

double valley(Place at) {
  return at.x * at.x / 20 + at.y * at.y;
}

Place valley_gradient(Place at) {
  return {at.x / 10, 2 * at.y};
}

std::vector<Path> valley_paths(std::int64_t steps) {
  constexpr Place start{-8, 2.5};
  std::vector<Path> paths;
  for (const std::string_view rule : optimizer_names()) {
    const Optimizer optimizer = with_step(rule, 1, 0.3);
    Path path{std::string(rule), options(optimizer).front().value, {start}};
    DoubleUpdate update(optimizer, 2);
    std::array<double, 2> at{start.x, start.y};
    for (std::int64_t step = 0; step < steps; ++step) {
      const Place slope = valley_gradient({at[0], at[1]});
      const std::array<double, 2> gradient{slope.x, slope.y};
      update.step(at, gradient);
      path.places.push_back({at[0], at[1]});
    }
    paths.push_back(std::move(path));
  }
  return paths;
}

Points line_points(std::uint64_t seed) {
  constexpr std::size_t count = 30;
  Points points;
  for (std::size_t i = 0; i < count; ++i) {
    const auto noise = normal_pair({seed, Purpose::demo, 0, 1}, i);
    points.x.push_back(noise[0]);
    points.y.push_back(true_slope * noise[0] + true_intercept + 0.3 * noise[1]);
  }
  return points;
}

std::vector<LineFit> line_fits(const Points& points, std::int64_t epochs, bool anneal) {
  std::vector<LineFit> fits;
  for (const std::string_view rule : optimizer_names()) fits.push_back(fit_line(points, rule, epochs, anneal));
  return fits;
}

}  // namespace descent::demo
