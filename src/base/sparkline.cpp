#include "base/sparkline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

namespace descent {

namespace {

constexpr std::size_t widest_group = 10;
constexpr std::array<std::string_view, 8> blocks{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<std::string_view, 8> signs{".", ":", "-", "=", "+", "*", "#", "@"};

// So many values a character that all fit, but no more than widest_group.
std::size_t group_size(std::size_t values, std::size_t cells) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{5}}) {
    if (values <= size * cells) return size;
  }
  return widest_group;
}

}  // namespace

void Sparkline::add(double value) {
  values_.push_back(value);
  ++count_;
  if (values_.size() > widest_group * most_cells) values_.pop_front();
}

std::string Sparkline::text(std::size_t cells, bool utf8) const {
  cells = std::min(cells, most_cells);
  if (cells == 0 || values_.empty()) return "";
  const std::size_t group = group_size(count_, cells);
  const std::size_t last = (count_ - 1) / group;  // groups are numbered from the first value of all
  const std::size_t forgotten = count_ - values_.size();
  const std::size_t first = last + 1 > cells ? last + 1 - cells : 0;  // its values are kept

  std::vector<double> means;
  double lowest = std::numeric_limits<double>::infinity();
  double highest = -lowest;
  for (std::size_t index = first; index <= last; ++index) {
    const std::size_t begin = index * group - forgotten;
    const std::size_t end = std::min(begin + group, values_.size());
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += values_[i];
    means.push_back(sum / static_cast<double>(end - begin));
    if (!std::isfinite(means.back())) continue;
    lowest = std::min(lowest, means.back());
    highest = std::max(highest, means.back());
  }

  const auto& characters = utf8 ? blocks : signs;
  std::string text;
  for (const double mean : means) {
    if (!std::isfinite(mean)) {
      text += ' ';
      continue;
    }
    const double height = highest > lowest ? (mean - lowest) / (highest - lowest) : 0;
    text += characters.at(std::min<std::size_t>(static_cast<std::size_t>(height * 8), 7));
  }
  return text;
}

}  // namespace descent
