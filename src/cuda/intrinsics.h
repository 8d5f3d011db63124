// What device code needs beyond plain C++ and what cuda_runtime.h gives both nvcc and the tests' emulation
// (threadIdx, blockIdx, blockDim, gridDim, __shared__, __syncthreads, __syncwarp, shuffles, __ldg,
// __launch_bounds__, rounding arithmetic). tests/cuda_host/cuda has this file's counterpart.
#pragma once

#include "plan/element.h"

#include <cuda_runtime.h>

#include <nv/target>

#include <cstdint>

namespace descent {

// The memory that Grid::shared_bytes asks for; one array a kernel.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char descent_dynamic_shared[];
  return reinterpret_cast<T*>(descent_dynamic_shared);
}

// Both rounded as to_bf16() does, `low` in the lower half: one instruction where that takes eight for each.
// What is not a number stays so.
__device__ inline std::uint32_t round_pair(float low, float high) {
  std::uint32_t pair = 0;
  NV_IF_ELSE_TARGET(NV_PROVIDES_SM_80,
                    (asm("cvt.rn.bf16x2.f32 %0, %1, %2;"
                         : "=r"(pair)
                         : "f"(high), "f"(low));),
                    (pair = std::uint32_t{to_bf16(low).bits} | std::uint32_t{to_bf16(high).bits} << 16U;))
  return pair;
}

// Asynchronous copies of 16 bytes into shared memory; zeros where `valid` is false. Addresses are multiples
// of 16.
__device__ inline void copy_async(void* to, const void* from, bool valid) {
  const auto place = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  NV_IF_TARGET(NV_PROVIDES_SM_80, (asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place),
                                                "l"(from), "r"(valid ? 16 : 0)
                                                : "memory");))
}
// Ends a group of copies.
__device__ inline void commit_copies() {
  NV_IF_TARGET(NV_PROVIDES_SM_80, (asm volatile("cp.async.commit_group;" ::: "memory");))
}
// Waits for this thread's groups but for the newest `left`.
template <int left>
__device__ inline void wait_for_copies() {
  NV_IF_TARGET(NV_PROVIDES_SM_80, (asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");))
}

// Four matrices of 8 × 8 16-bit elements, transposed; lane l names row l % 8 of matrix l / 8.
__device__ inline void load_transposed(std::uint32_t (&to)[4], const void* row) {
  const auto place = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  NV_IF_TARGET(NV_PROVIDES_SM_80,
               (asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                             : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                             : "r"(place)
                             : "memory");))
}

// sums += left · right: 16 × 16 by 16 × 8 of bf16, spread over the lanes of a warp as PTX's mma.m16n8k16 says.
__device__ inline void multiply_tiles(float (&sums)[4], const std::uint32_t (&left)[4], std::uint32_t right_low,
                                      std::uint32_t right_high) {
  NV_IF_TARGET(NV_PROVIDES_SM_80,
               (asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
                             "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                             : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                             : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right_low),
                               "r"(right_high));))
}

}  // namespace descent
