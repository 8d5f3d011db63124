#include "cli/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

namespace descent::cli {

namespace {

template <class Real>
std::string number_text(Real value) {
  return std::isfinite(value) ? fmt::format("{}", value) : std::string("null");
}

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
}

}  // namespace

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string json_number(float value) {
  return number_text(value);
}
std::string json_number(double value) {
  return number_text(value);
}

std::string json_numbers(std::span<const float> values) {
  std::string text = "[";
  for (const float value : values) {
    if (text.size() > 1) text += ',';
    text += json_number(value);
  }
  return text + ']';
}

std::size_t text_width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

namespace {

constexpr std::size_t gap = 2;  // between columns

// The byte at which character `index` begins.
std::size_t byte_of(std::string_view text, std::size_t index) {
  std::size_t byte = 0;
  while (byte < text.size() && (!begins_character(text[byte]) || index-- > 0)) ++byte;
  return byte;
}

// At most `width` characters, those in the middle left out.
std::string shortened(const std::string& text, std::size_t width) {
  const std::size_t all = text_width(text);
  if (all <= width) return text;
  const std::size_t front = width / 2;
  const std::size_t back = width - 1 - front;
  return text.substr(0, byte_of(text, front)) + "…" + text.substr(byte_of(text, all - back));
}

std::vector<std::size_t> column_widths(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], text_width(row[i]));
  }
  return widths;
}

}  // namespace

void fit_table(std::vector<std::vector<std::string>>& rows, std::span<const std::size_t> columns,
               std::size_t width) {
  constexpr std::size_t least = 8;
  if (width == 0) return;
  std::vector<std::size_t> widths = column_widths(rows);
  std::size_t total = std::accumulate(widths.begin(), widths.end(), gap * (widths.size() - 1));
  while (total > width) {
    const std::size_t widest =
        std::ranges::max(columns, {}, [&](std::size_t column) { return widths[column]; });
    if (widths[widest] <= least) break;
    --widths[widest];
    --total;
  }
  for (auto& row : rows) {
    for (const std::size_t column : columns) row[column] = shortened(row[column], widths[column]);
  }
}

std::string table_text(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right) {
  const std::vector<std::size_t> widths = column_widths(rows);
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - text_width(row[i]), ' ');
      const bool flush_right = i < right.size() && right[i];
      if (i > 0) line.append(gap, ' ');
      line += flush_right ? padding + row[i] : row[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line;
    text += '\n';
  }
  return text;
}

}  // namespace descent::cli
