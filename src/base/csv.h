// Fields of CSV files (RFC 4180).
#pragma once

#include <string>
#include <string_view>

namespace descent {

[[nodiscard]] std::string csv_field(std::string_view text);  // quoted where it must be
[[nodiscard]] std::string csv_number(double value);          // "%.9g"; empty for NaN

}  // namespace descent
