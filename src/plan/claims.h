// Which neighbouring layers a device computes as one kernel, if it fuses them at all.
#pragma once

#include "descent/device.h"
#include "descent/network.h"

#include <cstddef>
#include <span>

namespace descent {

// How many layers at the start of `run` (≥ 1 of them) are one unit.
[[nodiscard]] std::size_t claimed_layers(std::span<const Layer* const> run, const PlanRequest& request);

}  // namespace descent
