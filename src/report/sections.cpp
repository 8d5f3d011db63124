#include "report/sections.h"

#include "report/thin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace descent::report {

bool has_values(std::span<const double> values) {
  return std::ranges::any_of(values, [](double value) { return std::isfinite(value); });
}

std::vector<Mark> epoch_marks(const RunFiles& run) {
  std::vector<Mark> marks;
  for (const EpochRow& row : run.epochs) {
    if (!std::isnan(row.step)) marks.push_back({row.step + 1, fmt::format("epoch {}", row.epoch)});
  }
  return marks;
}

Curve at_epoch_ends(const RunFiles& run, double EpochRow::*value) {
  Curve curve;
  for (const EpochRow& row : run.epochs) {
    if (std::isnan(row.step)) continue;
    curve.x.push_back(row.step + 1);
    curve.y.push_back(row.*value);
  }
  return curve;
}

std::string thinned_note(std::size_t each) {
  return each <= 1 ? std::string()
                   : fmt::format(" Thinned: each point is the mean of {} recorded batches.", each);
}

Series curve_series(std::string label, std::span<const double> x, std::span<const double> y) {
  Curve curve = thin_extremes(x, y, most_points);
  return {.label = std::move(label), .x = std::move(curve.x), .y = std::move(curve.y)};
}

std::string number_text(double value, int digits) {
  return std::isnan(value) ? "–" : fmt::format("{:.{}g}", value, digits);
}

std::string whole_text(double value) {
  if (!std::isfinite(value)) return "–";
  std::string digits = fmt::format("{:.0f}", value);
  constexpr std::size_t group = 3;
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + group; at -= group) {
    digits.insert(at - group, "\u00A0");
  }
  return digits;
}

std::string percent_text(double share, int digits) {
  return std::isfinite(share) ? fmt::format("{:.{}f}\u00A0%", 100 * share, digits) : "–";
}

std::string fixed_text(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "–";
}

std::string moment_text(std::string moment) {
  const std::size_t t = moment.find('T');
  if (t == std::string::npos || !moment.ends_with('Z')) return moment;
  moment[t] = ' ';
  moment.pop_back();
  return moment + " UTC";
}

}  // namespace descent::report
