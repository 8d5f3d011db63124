// Reads CSV text (RFC 4180) row by row, columns by name. What is not there is empty; a last row without its
// line's end, cut by a kill or still being written, is left out.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace descent::report {

class CsvReader {
 public:
  static constexpr std::size_t no_column = static_cast<std::size_t>(-1);

  explicit CsvReader(std::string_view text);  // the text must outlive the reader

  [[nodiscard]] const std::vector<std::string>& header() const { return header_; }
  [[nodiscard]] std::size_t column(std::string_view name) const;  // or no_column

  bool next();  // false at the end
  // Of the row at hand. A field is valid until the next call of next().
  [[nodiscard]] std::string_view text(std::size_t column) const;
  [[nodiscard]] double number(std::size_t column) const;  // NaN where there is none

 private:
  bool read_row();
  bool read_field(bool& last);

  std::string_view rest_;
  std::vector<std::string> header_;
  std::vector<std::string_view> fields_;
  std::deque<std::string> unquoted_;
};

}  // namespace descent::report
