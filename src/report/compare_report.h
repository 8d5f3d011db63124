// Several runs beside each other.
#pragma once

#include "report/page.h"
#include "report/run_files.h"

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace descent::report {

struct LabelledRun {
  std::string label;
  RunFiles run;
};

// Names that tell the folders apart: the last part of each path, with as many parts before it as it takes; a
// folder given twice gets a number.
[[nodiscard]] std::vector<std::string> unique_labels(std::span<const std::filesystem::path> folders);

// The keys of a config.toml in their order, and their values as they are written. Empty if it is not TOML.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> config_values(const std::string& config);

// A row a run: optimizer, rate, epochs, the best and the last results, time.
[[nodiscard]] Table results_table(std::span<const LabelledRun> runs);

// A row a setting whose values differ; a column a run.
[[nodiscard]] Table differences_table(std::span<const LabelledRun> runs);

// Tables, and curves over one another.
[[nodiscard]] Page compare_page(std::span<const LabelledRun> runs);

}  // namespace descent::report
