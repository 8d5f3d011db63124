#include "data/idx_files.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <system_error>

namespace descent {

namespace fs = std::filesystem;

fs::path idx_file(const fs::path& folder, std::string_view stem, std::string_view type) {
  constexpr std::array<std::string_view, 4> spellings{"{}-{}-ubyte", "{}.{}-ubyte", "{}-{}-ubyte.gz",
                                                      "{}.{}-ubyte.gz"};
  for (const std::string_view spelling : spellings) {
    const fs::path file = folder / fmt::format(fmt::runtime(spelling), stem, type);
    std::error_code error;
    if (fs::is_regular_file(file, error)) return file;
  }
  return {};
}

}  // namespace descent
