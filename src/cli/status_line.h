// One line of a terminal, made of parts of which the less important ones give way.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace descent::cli {

struct LinePart {
  std::string text;
  int rank = 0;          // the part of the highest rank goes first
  std::string colour{};  // an escape sequence; empty: none
};

// The parts one after the other, in at most `cells` characters: parts are left out, and what is still too
// long is cut.
[[nodiscard]] std::string line_text(std::vector<LinePart> parts, std::size_t cells);

// Characters that the parts take together.
[[nodiscard]] std::size_t width(const std::vector<LinePart>& parts);

}  // namespace descent::cli
