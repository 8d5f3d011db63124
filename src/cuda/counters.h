// Counters that kernels share over all steps: zero between two passes. They cannot lie in the plan's arena,
// whose memory others write to.
#pragma once

#include "cuda/check.h"
#include "cuda/context.h"
#include "cuda/memory.h"

#include <cstddef>

namespace descent {

class Counters {
 public:
  Counters() = default;
  Counters(const CudaContext& context, std::size_t bytes) : memory_(bytes) {
    check(cudaMemsetAsync(memory_.as(), 0, bytes, context.stream), "cudaMemsetAsync");
  }
  [[nodiscard]] unsigned* data() const { return memory_.as<unsigned>(); }

 private:
  DeviceBytes memory_;
};

}  // namespace descent
