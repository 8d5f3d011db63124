// The curves of all schedules.
#pragma once

#include "report/page.h"

#include <cstdint>

namespace descent::cli {

[[nodiscard]] report::Page schedules_page(std::uint64_t seed);

}  // namespace descent::cli
