// Count, mean, standard deviation and histogram of a tensor, in one pass over memory.
#pragma once

#include "cpu/context.h"
#include "descent/statistics.h"
#include "plan/element.h"

#include <cstdint>

namespace descent {

// Of values[i], or of values[i] − minus[i] where `minus` is not null. The result does not depend on the
// number of threads.
[[nodiscard]] Summary summarise(const CpuContext& context, const float* values, const float* minus,
                                std::int64_t count, bool histogram);
[[nodiscard]] Summary summarise(const CpuContext& context, const Bf16* values, const Bf16* minus,
                                std::int64_t count, bool histogram);

}  // namespace descent
