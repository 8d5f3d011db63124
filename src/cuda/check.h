// Every call of the CUDA runtime goes through here.
#pragma once

#include <cuda_runtime.h>

#include <string_view>

namespace descent {

// Throws Error: "cudaMalloc failed: out of memory (cudaErrorMemoryAllocation)".
void check(cudaError_t status, std::string_view call);

}  // namespace descent
