// Runs the threads of a block, one after the other, on one thread of the host. A thread that waits for others
// makes room for them; one that never waits costs no switch.
#pragma once

#include "cuda_runtime.h"

#include <functional>

namespace cuda_host {

// All blocks; `body` is the kernel with its arguments. Aborts with a message where all threads wait for each
// other.
void run_grid(dim3 blocks, dim3 threads, std::size_t shared_bytes, const std::function<void()>& body);

}  // namespace cuda_host
