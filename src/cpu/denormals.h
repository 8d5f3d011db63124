// How a thread treats numbers too small to be normal.
#pragma once

namespace descent {

// Makes results and operands too small to be normal count as zero in the calling thread: arithmetic on them is
// tens of times slower. It changes bits, so it is always done.
void flush_denormals() noexcept;
[[nodiscard]] bool denormals_are_flushed() noexcept;

}  // namespace descent
