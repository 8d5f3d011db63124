// Fields of CSV files (RFC 4180).
#pragma once

#include <string>
#include <string_view>

namespace descent {

[[nodiscard]] std::string csv_field(std::string_view text);  // quoted where it must be

}  // namespace descent
