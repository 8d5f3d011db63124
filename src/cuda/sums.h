// Sums over warps and blocks, always in the same order.
#pragma once

#include <cuda_runtime.h>

namespace descent {

// Several neighbours that are read and written at once; addresses are multiples of its size.
template <class T, int count>
struct alignas(sizeof(T) * count) Pack {
  T values[count];
};

// Over the 32 lanes of a warp, in every lane.
template <class T>
__device__ T warp_sum(T value) {
  for (int apart = 16; apart > 0; apart /= 2) value += __shfl_xor_sync(0xffffffffU, value, apart);
  return value;
}

// Over a block of whole warps, in every thread. `shared` holds 32 values and may be used again after it.
template <class T>
__device__ T block_sum(T value, T* shared) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned warps = (blockDim.x * blockDim.y * blockDim.z + 31) / 32;
  value = warp_sum(value);
  if (thread % 32 == 0) shared[thread / 32] = value;
  __syncthreads();
  T sum = shared[0];
  for (unsigned warp = 1; warp < warps; ++warp) sum += shared[warp];
  __syncthreads();
  return sum;
}

}  // namespace descent
