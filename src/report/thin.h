// Fewer points for long runs, without losing what matters in them.
#pragma once

#include "report/run_files.h"

#include <cstddef>
#include <span>
#include <vector>

namespace descent::report {

// At most `most` (at least 4) points: of every stretch its smallest and its largest value, in their order,
// and always the first and the last point. Values that are not finite are no extremes; a stretch of only
// such keeps one, as a gap.
[[nodiscard]] Curve thin_extremes(std::span<const double> x, std::span<const double> y, std::size_t most);

// How many values become one, so that at most `most` are left.
[[nodiscard]] std::size_t values_a_point(std::size_t count, std::size_t most);

// The mean of every `each` values; of those alone that are finite. The last may stand for fewer.
[[nodiscard]] std::vector<double> thin_means(std::span<const double> values, std::size_t each);

// The same of columns of `rows` values each.
[[nodiscard]] std::vector<double> thin_columns(std::span<const double> values, std::size_t rows,
                                               std::size_t each);

// Exponentially weighted mean with its bias corrected: v̂ = v/(1 − βᵗ), v ← βv + (1 − β)y. Gaps are passed over.
[[nodiscard]] std::vector<double> smoothed(std::span<const double> values, double beta);

}  // namespace descent::report
