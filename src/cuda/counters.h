// Counters that kernels share over all steps: zero between two passes. They cannot lie in the plan's arena,
// whose memory others write to.
#pragma once

#include "cuda/check.h"
#include "cuda/context.h"
#include "descent/buffer.h"

#include <cstddef>

namespace descent {

class Counters {
 public:
  Counters() = default;
  Counters(const CudaContext& context, std::size_t bytes) {
    void* data = nullptr;
    check(cudaMalloc(&data, bytes), "cudaMalloc");
    memory_ = Buffer(data, bytes, [](void* block) noexcept { (void)cudaFree(block); });
    check(cudaMemsetAsync(data, 0, bytes, context.stream), "cudaMemsetAsync");
  }
  [[nodiscard]] unsigned* data() const { return static_cast<unsigned*>(memory_.data()); }

 private:
  Buffer memory_;
};

}  // namespace descent
