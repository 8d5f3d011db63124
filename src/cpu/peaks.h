// What the processor and its memory give at most, measured by small kernels of our own: the two roofs under
// which every operation works.
#pragma once

#include "cpu/context.h"
#include "descent/device.h"

namespace descent {

// With all threads of the context at work: multiply-adds on registers, products of bf16 numbers, copies from
// 4 MiB on. Takes about half a second and 256 MiB.
[[nodiscard]] Peaks measure_peaks(const CpuContext& context);

}  // namespace descent
