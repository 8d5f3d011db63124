// What can be shown on the terminal that a stream may be.
#pragma once

#include <cstddef>

namespace descent::cli {

class Terminal {
 public:
  explicit Terminal(int descriptor);

  // A terminal that understands escape sequences.
  [[nodiscard]] bool live() const noexcept { return live_; }
  [[nodiscard]] bool utf8() const noexcept { return utf8_; }      // by LC_ALL, LC_CTYPE or LANG
  [[nodiscard]] bool colour() const noexcept { return colour_; }  // unless NO_COLOR says no
  // Characters a line, now; it may be resized at any time.
  [[nodiscard]] std::size_t columns() const;
  // That a table may take: 0, no limit, where nobody looks at it on a terminal.
  [[nodiscard]] std::size_t table_columns() const { return live_ ? columns() : 0; }
  // False while the program runs in the background of its terminal.
  [[nodiscard]] bool in_foreground() const;

 private:
  int descriptor_;
  bool live_;
  bool utf8_;
  bool colour_;
};

}  // namespace descent::cli
