#include "data/resample.h"

#include <algorithm>
#include <cmath>

namespace descent {

namespace {

constexpr int fraction_bits = 22;  // 8 bits of pixel and 22 of weight fit 31

// The input pixels that make an output pixel: [first, first + weights), with weights that sum to 1.
struct Window {
  std::int64_t first = 0;
  std::vector<std::int32_t> weights;
};

std::vector<Window> windows_of(const ResizedAxis& axis) {
  const double scale = static_cast<double>(axis.from) / static_cast<double>(axis.to);
  const double radius = std::max(scale, 1.0);
  std::vector<Window> windows(static_cast<std::size_t>(axis.count));
  std::vector<double> weights;
  for (std::int64_t i = 0; i < axis.count; ++i) {
    const double centre = (static_cast<double>(axis.begin + i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - radius + 0.5));
    const auto last = std::min<std::int64_t>(axis.from, static_cast<std::int64_t>(centre + radius + 0.5));
    weights.clear();
    double sum = 0.0;
    for (std::int64_t x = first; x < last; ++x) {
      const double distance = std::abs((static_cast<double>(x) + 0.5 - centre) / radius);
      weights.push_back(std::max(0.0, 1.0 - distance));
      sum += weights.back();
    }
    Window& window = windows[static_cast<std::size_t>(i)];
    window.first = first;
    for (const double weight : weights) {
      window.weights.push_back(static_cast<std::int32_t>(std::lround(std::ldexp(weight / sum, fraction_bits))));
    }
  }
  return windows;
}

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> fraction_bits, 0, 255));
}

}  // namespace

std::vector<std::uint8_t> resample(std::span<const std::uint8_t> plane, const ResizedAxis& height,
                                   const ResizedAxis& width) {
  constexpr std::int32_t half = 1 << (fraction_bits - 1);
  const std::vector<Window> rows = windows_of(height);
  const std::vector<Window> columns = windows_of(width);
  const auto in_width = static_cast<std::size_t>(width.from);
  const std::size_t out_width = columns.size();

  // Only the rows that the second pass reads.
  const auto first_row = static_cast<std::size_t>(rows.front().first);
  const std::size_t end_row = static_cast<std::size_t>(rows.back().first) + rows.back().weights.size();
  std::vector<std::uint8_t> narrow((end_row - first_row) * out_width);
  for (std::size_t y = first_row; y < end_row; ++y) {
    const std::uint8_t* line = plane.data() + y * in_width;
    std::uint8_t* out = narrow.data() + (y - first_row) * out_width;
    for (const Window& window : columns) {
      const std::uint8_t* pixel = line + window.first;
      std::int32_t sum = half;
      for (std::size_t k = 0; k < window.weights.size(); ++k) sum += pixel[k] * window.weights[k];
      *out++ = to_byte(sum);
    }
  }

  std::vector<std::uint8_t> result(rows.size() * out_width);
  std::vector<std::int32_t> sums(out_width);
  auto out = result.begin();
  for (const Window& window : rows) {
    std::fill(sums.begin(), sums.end(), half);
    const std::uint8_t* line = narrow.data() + (static_cast<std::size_t>(window.first) - first_row) * out_width;
    for (const std::int32_t weight : window.weights) {
      for (std::size_t x = 0; x < out_width; ++x) sums[x] += line[x] * weight;
      line += out_width;
    }
    out = std::transform(sums.begin(), sums.end(), out, to_byte);
  }
  return result;
}

}  // namespace descent
