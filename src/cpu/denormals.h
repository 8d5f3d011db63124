// How threads treat numbers too small to be normal.
#pragma once

namespace descent {

// Makes results and operands too small to be normal count as zero, in the calling thread and its team of
// `threads`: arithmetic on them is tens of times slower. It changes bits, so it is always done.
void flush_denormals(int threads);
[[nodiscard]] bool denormals_are_flushed() noexcept;  // in the calling thread

}  // namespace descent
