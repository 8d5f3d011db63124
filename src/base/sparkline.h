// A curve as a row of characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

namespace descent {

// The last values of a series, thinned: a character is the mean of up to 10 values that follow each other.
class Sparkline {
 public:
  static constexpr std::size_t most_cells = 24;

  void add(double value);
  // ▁▂▃▄▅▆▇█ from the lowest to the highest value shown, or .:-=+*#@; at most `cells` characters. Groups of
  // values keep their borders while the series grows. A mean that is not finite is a blank.
  [[nodiscard]] std::string text(std::size_t cells, bool utf8) const;

 private:
  std::deque<double> values_;
  std::size_t count_ = 0;  // of all values, also those forgotten
};

}  // namespace descent
