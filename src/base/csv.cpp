#include "base/csv.h"

#include <fmt/format.h>

#include <cmath>

namespace descent {

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char character : text) {
    if (character == '"') quoted += '"';
    quoted += character;
  }
  return quoted + '"';
}

std::string csv_number(double value) {
  return std::isnan(value) ? std::string() : fmt::format("{:.9g}", value);
}

}  // namespace descent
