// The one way to start a kernel: checked, on the device's stream.
#pragma once

#include "cuda/check.h"
#include "cuda/context.h"
#include "cuda/intrinsics.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

namespace descent {

struct Grid {
  dim3 blocks{1, 1, 1};
  dim3 threads{256, 1, 1};
  std::size_t shared_bytes = 0;  // dynamic ones, of a block
};

// `name` is for errors.
template <class... Parameters, class... Arguments>
void launch(const CudaContext& context, std::string_view name, const Grid& grid, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  constexpr std::size_t always_granted = 40U << 10U;  // 48 KiB together with what kernels declare themselves
  if (grid.shared_bytes > always_granted) {
    // All that there is, whatever this launch needs: another's, recorded or of another thread, may need more.
    cudaFuncAttributes of_kernel{};
    check(cudaFuncGetAttributes(&of_kernel, kernel), name);
    const auto most = static_cast<int>(context.shared_bytes - of_kernel.sharedSizeBytes);
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize, most),
          name);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid.blocks;
  config.blockDim = grid.threads;
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = context.stream;
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), name);
}

// As many blocks as the elements need, at most a few waves: kernels walk with grid_stride().
inline Grid grid_for(const CudaContext& context, std::int64_t elements, int threads = 256) {
  constexpr std::int64_t blocks_each = 16;  // of a multiprocessor
  const std::int64_t needed = (elements + threads - 1) / threads;
  const std::int64_t most = blocks_each * context.multiprocessors;
  return {dim3(static_cast<unsigned>(std::clamp<std::int64_t>(needed, 1, most))),
          dim3(static_cast<unsigned>(threads)), 0};
}

// for (const std::int64_t i : grid_stride(count)): every element once, neighbours by neighbouring threads.
class GridStride {
 public:
  class Iterator {
   public:
    __device__ Iterator(std::int64_t at, std::int64_t step) : at_(at), step_(step) {}
    __device__ std::int64_t operator*() const { return at_; }
    __device__ Iterator& operator++() {
      at_ += step_;
      return *this;
    }
    __device__ bool operator!=(const Iterator& end) const { return at_ < end.at_; }

   private:
    std::int64_t at_;
    std::int64_t step_;
  };

  __device__ explicit GridStride(std::int64_t count) : count_(count) {}
  [[nodiscard]] __device__ Iterator begin() const {
    return {std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x, std::int64_t{gridDim.x} * blockDim.x};
  }
  [[nodiscard]] __device__ Iterator end() const { return {count_, 0}; }

 private:
  std::int64_t count_;
};

__device__ inline GridStride grid_stride(std::int64_t count) {
  return GridStride(count);
}

}  // namespace descent
