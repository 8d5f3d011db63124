// Values as text: JSON and aligned columns. Never depends on the locale.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace descent::cli {

[[nodiscard]] std::string json_text(std::string_view text);  // quoted; what is not UTF-8 is replaced
[[nodiscard]] std::string json_number(float value);          // as many digits as it takes to read it back
[[nodiscard]] std::string json_number(double value);         // null if not finite
[[nodiscard]] std::string json_numbers(std::span<const float> values);  // an array

// Columns that a terminal shows: characters, not bytes.
[[nodiscard]] std::size_t text_width(std::string_view text);

// Shortens cells of `columns` in their middle ("brgconv…core_amx"), always those of the widest one, until rows
// take at most `width` characters or all are down to eight. A width of 0 is no limit.
void fit_table(std::vector<std::vector<std::string>>& rows, std::span<const std::size_t> columns,
               std::size_t width);

// Rows of cells as lines, cells padded to their column's width. Columns in `right` are flush right.
[[nodiscard]] std::string table_text(const std::vector<std::vector<std::string>>& rows,
                                     const std::vector<bool>& right = {});

}  // namespace descent::cli
