// Sections of a run's report. One without items has nothing to show and is left out.
#pragma once

#include "report/page.h"
#include "report/run_files.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace descent::report {

[[nodiscard]] Section summary_section(const RunFiles& run);
[[nodiscard]] Section curves_section(const RunFiles& run);
[[nodiscard]] Section rate_section(const RunFiles& run);
[[nodiscard]] Section activations_section(const RunFiles& run);
[[nodiscard]] Section gradients_section(const RunFiles& run);
[[nodiscard]] Section parameters_section(const RunFiles& run);
[[nodiscard]] Section finder_section(const RunFiles& run);
[[nodiscard]] Section classes_section(const RunFiles& run);
[[nodiscard]] Section pictures_section(const RunFiles& run);
[[nodiscard]] Section network_section(const RunFiles& run);
[[nodiscard]] Section time_section(const RunFiles& run);
[[nodiscard]] Section configuration_section(const RunFiles& run);

// What sections share.

constexpr std::size_t most_points = 1200;  // of a curve

[[nodiscard]] bool has_values(std::span<const double> values);
// Dashed lines where epochs end.
[[nodiscard]] std::vector<Mark> epoch_marks(const RunFiles& run);
// A value a point at the end of each epoch: x is the number of batches trained.
[[nodiscard]] Curve at_epoch_ends(const RunFiles& run, double EpochRow::*value);
// "" or "Each point is the mean of 3 recorded batches."
[[nodiscard]] std::string thinned_note(std::size_t each);
// One series of a curve, thinned so that its extremes stay.
[[nodiscard]] Series curve_series(std::string label, std::span<const double> x, std::span<const double> y);

[[nodiscard]] std::string number_text(double value, int digits = 5);  // "–" where it is missing
[[nodiscard]] std::string whole_text(double value);                   // "60 000"
[[nodiscard]] std::string percent_text(double share, int digits = 1);
[[nodiscard]] std::string fixed_text(double value, int digits);
[[nodiscard]] std::string moment_text(
    std::string moment);  // "2026-11-22T19:00:00Z" → "2026-11-22 19:00:00 UTC"

}  // namespace descent::report
