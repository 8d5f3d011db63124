// What device code needs beyond plain C++ and what cuda_runtime.h gives both nvcc and the tests' emulation
// (threadIdx, blockIdx, blockDim, gridDim, __shared__, __syncthreads, __syncwarp, shuffles, __ldg,
// __launch_bounds__, rounding arithmetic). tests/cuda_host/cuda has this file's counterpart.
#pragma once

#include <cuda_runtime.h>

#include <nv/target>

#include <cstdint>

namespace descent {

// First in a kernel that Grid::follows speaks of: lets the kernel after this one be set up, and waits until all
// kernels before it have ended and what they wrote is seen.
__device__ inline void follow() {
  NV_IF_TARGET(NV_PROVIDES_SM_90, (asm volatile("griddepcontrol.launch_dependents;" ::
                                                    : "memory");
                                   asm volatile("griddepcontrol.wait;" ::
                                                    : "memory");))
}

// The memory that Grid::shared_bytes asks for; one array a kernel.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char descent_dynamic_shared[];
  return reinterpret_cast<T*>(descent_dynamic_shared);
}

}  // namespace descent
