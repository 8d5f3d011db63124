#include "cli/status_line.h"

#include "cli/text.h"

#include <algorithm>

namespace descent::cli {

namespace {

// The first `cells` characters.
std::string cut(const std::string& text, std::size_t cells) {
  std::size_t end = 0;
  for (std::size_t seen = 0; end < text.size(); ++end) {
    const bool begins = (static_cast<unsigned char>(text[end]) & 0xc0U) != 0x80U;
    if (begins && seen++ == cells) break;
  }
  return text.substr(0, end);
}

}  // namespace

std::size_t width(const std::vector<LinePart>& parts) {
  std::size_t cells = 0;
  for (const LinePart& part : parts) cells += text_width(part.text);
  return cells;
}

std::string line_text(std::vector<LinePart> parts, std::size_t cells) {
  while (width(parts) > cells) {
    const auto least = std::ranges::max_element(parts, {}, &LinePart::rank);
    if (least->rank == 0) break;
    parts.erase(least);
  }
  std::string line;
  for (const LinePart& part : parts) {
    const std::string text = cut(part.text, cells);
    cells -= text_width(text);
    line += part.colour.empty() ? text : part.colour + text + "\033[0m";
  }
  return line;
}

}  // namespace descent::cli
