#include "descent/statistics.h"

#include <numeric>

namespace descent {

double dead_share(const Summary::Histogram& histogram) {
  const std::int64_t counted = std::accumulate(histogram.begin(), histogram.end(), std::int64_t{0});
  return counted > 0 ? static_cast<double>(histogram.front()) / static_cast<double>(counted) : 0;
}

std::array<double, Summary::bins> color_column(const Summary::Histogram& histogram) {
  std::array<double, Summary::bins> column{};
  for (std::size_t bin = 0; bin < column.size(); ++bin) {
    column[bin] = std::log1p(static_cast<double>(histogram[bin]));
  }
  return column;
}

}  // namespace descent
