#include "report/csv_reader.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>

namespace descent::report {

CsvReader::CsvReader(std::string_view text) : rest_(text) {
  if (read_row()) header_.assign(fields_.begin(), fields_.end());
}

std::size_t CsvReader::column(std::string_view name) const {
  const auto found = std::ranges::find(header_, name);
  return found == header_.end() ? no_column : static_cast<std::size_t>(found - header_.begin());
}

bool CsvReader::next() {
  while (read_row()) {
    if (fields_.size() > 1 || !fields_.front().empty()) return true;  // not an empty line
  }
  return false;
}

std::string_view CsvReader::text(std::size_t column) const {
  return column < fields_.size() ? fields_[column] : std::string_view();
}

double CsvReader::number(std::size_t column) const {
  const std::string_view field = text(column);
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  const bool whole = error == std::errc() && end == field.data() + field.size();
  return whole ? value : std::numeric_limits<double>::quiet_NaN();
}

bool CsvReader::read_row() {
  fields_.clear();
  unquoted_.clear();
  bool last = false;
  while (!last) {
    if (!read_field(last)) return false;
  }
  return true;
}

// False if the text ends before the field does.
bool CsvReader::read_field(bool& last) {
  if (!rest_.starts_with('"')) {
    const std::size_t end = rest_.find_first_of(",\n");
    if (end == std::string_view::npos) return false;
    std::string_view field = rest_.substr(0, end);
    last = rest_[end] == '\n';
    if (last && field.ends_with('\r')) field.remove_suffix(1);
    fields_.push_back(field);
    rest_.remove_prefix(end + 1);
    return true;
  }
  std::string& field = unquoted_.emplace_back();
  for (std::size_t i = 1; i < rest_.size(); ++i) {
    if (rest_[i] != '"') {
      field += rest_[i];
    } else if (i + 1 < rest_.size() && rest_[i + 1] == '"') {
      field += rest_[++i];
    } else {
      const std::size_t end = rest_.find_first_of(",\n", i);
      if (end == std::string_view::npos) return false;
      last = rest_[end] == '\n';
      fields_.emplace_back(field);
      rest_.remove_prefix(end + 1);
      return true;
    }
  }
  return false;
}

}  // namespace descent::report
