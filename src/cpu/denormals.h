// How threads compute: how many of them, and how they treat numbers too small to be normal.
#pragma once

#include "cpu/context.h"

namespace descent {

// Makes results and operands too small to be normal count as zero, in the calling thread and its team of
// `threads`: arithmetic on them is tens of times slower. It changes bits, so it is always done. Of the team
// only the calling thread takes signals from then on.
void flush_denormals(int threads);
[[nodiscard]] bool denormals_are_flushed() noexcept;  // in the calling thread

// Before the calling thread, whichever it is, computes for the device.
void enter(const CpuContext& context);

}  // namespace descent
