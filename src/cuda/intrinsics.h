// What device code needs beyond plain C++ and what cuda_runtime.h gives both nvcc and the tests' emulation
// (threadIdx, blockIdx, blockDim, gridDim, __shared__, __syncthreads, __syncwarp, shuffles, __ldg,
// __launch_bounds__, rounding arithmetic). tests/cuda_host/cuda has this file's counterpart.
#pragma once

#include <cuda_runtime.h>

namespace descent {

// The memory that Grid::shared_bytes asks for; one array a kernel.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char descent_dynamic_shared[];
  return reinterpret_cast<T*>(descent_dynamic_shared);
}

}  // namespace descent
