#include "report/thin.h"

#include <algorithm>
#include <cmath>

namespace descent::report {

namespace {

constexpr std::size_t none = static_cast<std::size_t>(-1);

void append(Curve& curve, double x, double y) {
  curve.x.push_back(x);
  curve.y.push_back(y);
}

struct Mean {
  double sum = 0;
  std::size_t count = 0;

  void add(double value) {
    if (!std::isfinite(value)) return;
    sum += value;
    ++count;
  }
  [[nodiscard]] double value() const { return count == 0 ? missing : sum / static_cast<double>(count); }
};

}  // namespace

Curve thin_extremes(std::span<const double> x, std::span<const double> y, std::size_t most) {
  const std::size_t count = std::min(x.size(), y.size());
  Curve curve;
  if (count <= most) {
    curve.x.assign(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(count));
    curve.y.assign(y.begin(), y.begin() + static_cast<std::ptrdiff_t>(count));
    return curve;
  }
  const std::size_t stretches = (most - 2) / 2;
  append(curve, x[0], y[0]);
  for (std::size_t stretch = 0; stretch < stretches; ++stretch) {
    const std::size_t begin = 1 + (count - 2) * stretch / stretches;
    const std::size_t end = 1 + (count - 2) * (stretch + 1) / stretches;
    std::size_t low = none;
    std::size_t high = none;
    for (std::size_t i = begin; i < end; ++i) {
      if (!std::isfinite(y[i])) continue;
      if (low == none || y[i] < y[low]) low = i;
      if (high == none || y[i] > y[high]) high = i;
    }
    if (low == none) {
      append(curve, x[begin], missing);
      continue;
    }
    append(curve, x[std::min(low, high)], y[std::min(low, high)]);
    if (low != high) append(curve, x[std::max(low, high)], y[std::max(low, high)]);
  }
  append(curve, x[count - 1], y[count - 1]);
  return curve;
}

std::size_t values_a_point(std::size_t count, std::size_t most) {
  return std::max<std::size_t>(1, (count + most - 1) / most);
}

std::vector<double> thin_means(std::span<const double> values, std::size_t each) {
  return thin_columns(values, 1, each);
}

std::vector<double> thin_columns(std::span<const double> values, std::size_t rows, std::size_t each) {
  if (each <= 1) return {values.begin(), values.end()};
  const std::size_t columns = values.size() / rows;
  std::vector<double> means;
  for (std::size_t begin = 0; begin < columns; begin += each) {
    for (std::size_t row = 0; row < rows; ++row) {
      Mean mean;
      for (std::size_t k = begin; k < std::min(begin + each, columns); ++k) mean.add(values[k * rows + row]);
      means.push_back(mean.value());
    }
  }
  return means;
}

std::vector<double> smoothed(std::span<const double> values, double beta) {
  std::vector<double> means;
  double mean = 0;
  double weight = 0;  // 1 − βᵗ
  for (const double value : values) {
    if (std::isfinite(value)) {
      mean = beta * mean + (1 - beta) * value;
      weight = beta * weight + (1 - beta);
    }
    means.push_back(weight > 0 && std::isfinite(value) ? mean / weight : missing);
  }
  return means;
}

}  // namespace descent::report
