// A measured step as a page: its operations under the roofs of the machine.
#pragma once

#include "cli/bench_output.h"
#include "report/page.h"

namespace descent::cli {

// Needs the machine's peaks.
[[nodiscard]] report::Page bench_page(const Bench& bench);

}  // namespace descent::cli
