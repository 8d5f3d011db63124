// Where the lanes of a warp find what tensor cores multiply (the instructions stand in intrinsics.h). They need
// code for compute capability 8.0: compiled for older targets the instructions do nothing, so
// has_tensor_cores() is asked beforehand.
#pragma once

#include "cuda/intrinsics.h"
#include "plan/element.h"

#include <cstdint>

namespace descent {

// One matrix of 16 × 16, k by rows in shared memory, as the left factor: lane's address for load_transposed().
// Its rows lie `pitch` elements apart.
[[nodiscard]] __device__ inline const Bf16* left_row(const Bf16* tile, int pitch, int lane) {
  const int matrix = lane / 8;
  return tile + (lane % 8 + matrix / 2 * 8) * pitch + matrix % 2 * 8;
}

// The same as two right factors of 16 × 8 side by side.
[[nodiscard]] __device__ inline const Bf16* right_row(const Bf16* tile, int pitch, int lane) {
  const int matrix = lane / 8;
  return tile + (lane % 8 + matrix % 2 * 8) * pitch + matrix / 2 * 8;
}

}  // namespace descent
