// What a learning-rate finder's curve says.
#include "descent/lr_find.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

namespace descent {

namespace {

constexpr std::size_t window = 5;
constexpr std::size_t fewest = 10;   // rows that make a curve
constexpr double least_fall = 0.05;  // of the first loss: a curve that falls less says nothing

struct Curve {
  std::vector<double> rates;
  std::vector<double> losses;  // smoothed
};

Curve finite_curve(std::span<const FinderRow> rows) {
  Curve curve;
  std::vector<double> losses;
  for (const FinderRow& row : rows) {
    if (!std::isfinite(row.loss)) continue;
    curve.rates.push_back(row.rate);
    losses.push_back(row.loss);
  }
  curve.losses = smoothed(losses, window);
  return curve;
}

// Change of the loss when the rate becomes ten times as large; central differences, one-sided at the ends.
double slope(const Curve& curve, std::size_t at) {
  const std::size_t low = at > 0 ? at - 1 : 0;
  const std::size_t high = std::min(at + 1, curve.rates.size() - 1);
  return (curve.losses[high] - curve.losses[low]) / std::log10(curve.rates[high] / curve.rates[low]);
}

}  // namespace

std::vector<double> smoothed(std::span<const double> values, std::size_t width) {
  const std::size_t reach = width / 2;
  std::vector<double> means;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t first = i > reach ? i - reach : 0;
    const std::size_t last = std::min(i + reach + 1, values.size());
    const auto part = values.subspan(first, last - first);
    means.push_back(std::accumulate(part.begin(), part.end(), 0.0) / static_cast<double>(part.size()));
  }
  return means;
}

RateSuggestion suggest_rate(std::span<const FinderRow> rows) {
  const Curve curve = finite_curve(rows);
  RateSuggestion answer;
  const std::size_t count = curve.rates.size();
  if (count < fewest) {
    answer.reason = fmt::format(
        "no suggestion: {} finite losses make no curve; a smaller first rate or a smaller gamma gives more",
        count);
    return answer;
  }
  const auto lowest = std::ranges::min_element(curve.losses);
  const auto at_lowest = static_cast<std::size_t>(std::distance(curve.losses.begin(), lowest));
  answer.lowest = curve.rates[at_lowest];
  const double first = curve.losses.front();
  if (!(first - *lowest > least_fall * std::abs(first))) {
    answer.reason = fmt::format(
        "no suggestion: the loss never falls by more than {:.0f} % of its first value, {:.3g}; a smaller first "
        "rate "
        "or other first weights may show more",
        100 * least_fall, first);
    return answer;
  }
  std::size_t at_steepest = 0;
  for (std::size_t i = 0; i <= at_lowest; ++i) {
    if (slope(curve, i) < slope(curve, at_steepest)) at_steepest = i;
  }
  answer.steepest = curve.rates[at_steepest];
  answer.suggestion = std::sqrt(*answer.steepest * *answer.lowest);
  answer.reason = fmt::format(
      "half-way on the logarithmic scale between {:.3g}, where the smoothed loss falls fastest, and {:.3g}, "
      "where it "
      "is lowest{}",
      *answer.steepest, *answer.lowest,
      at_lowest + 1 == count ? "; it still fell when the search ended, so more epochs may show a higher rate"
                             : "");
  return answer;
}

}  // namespace descent
