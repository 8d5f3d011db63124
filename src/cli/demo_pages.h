// The pages of `descent demo`, and the numbers it prints.
#pragma once

#include "report/page.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace descent::cli {

struct Demonstration {
  std::string_view name;
  std::string_view summary;
  report::Page (*page)(std::uint64_t seed);
};
// In the order of --help.
[[nodiscard]] const std::vector<Demonstration>& demonstrations();

// Title, text and tables of a page as lines for a terminal; charts stay on the page.
[[nodiscard]] std::string terminal_text(const report::Page& page);

}  // namespace descent::cli
