// Settings that follow from tables of options: those of the optimizers and of the schedules.
#pragma once

#include "cli/run_settings.h"

#include <vector>

namespace descent::cli {

// One setting for every option that any optimizer has.
[[nodiscard]] std::vector<Setting> optimizer_option_settings();

// --schedule, one setting for every option that any schedule has, --schedule-by and --warmup.
[[nodiscard]] std::vector<Setting> schedule_settings();

// Drops from a config what belongs to its optimizer or its schedule where `options` choose another.
void drop_options_of_others(GivenSettings& config, const GivenSettings& options);

// What settings can be wrong about together, once all are known. Throws Error.
void check_schedule_settings(const RunSettings& run, const GivenSettings& given);

}  // namespace descent::cli
