// What the kernels of one CPU device share.
#pragma once

namespace descent {

struct CpuContext {
  int threads = 1;  // of the OpenMP team
};

// Before the calling thread, whichever it is, computes for the device: makes its team one of context.threads,
// all of which take numbers too small to be normal for zero (cpu/denormals.h). Of these threads only the
// calling one takes signals from then on; who joins the team later, where a library has let it shrink, is left
// the signals that the calling thread blocks.
void enter(const CpuContext& context);

}  // namespace descent
