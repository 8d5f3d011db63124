// The report of one run.
#pragma once

#include "report/page.h"
#include "report/run_files.h"

#include <filesystem>

namespace descent::report {

// A section for all that the run has; what was not recorded is left out.
[[nodiscard]] Page run_page(const RunFiles& run);

// Writes `folder`/report.html, or `out`, from the files of the folder; a kill leaves the old one or the new
// one.
void write_report(const std::filesystem::path& folder, const std::filesystem::path& out = {});

}  // namespace descent::report
