// What the kernels of one CUDA device share.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace descent {

// What changes from step to step. It lies in device memory, so that a recorded step reads new values.
struct StepMoment {
  std::uint64_t seed;
  std::uint64_t first_picture;
  std::uint32_t epoch;
};

class SideStream;

struct CudaContext {
  int ordinal = 0;
  cudaStream_t stream = nullptr;  // all that the device does, in order, but for what goes beside it
  SideStream* side = nullptr;     // null: nothing does
  int multiprocessors = 1;
  int compute = 0;                        // 90: compute capability 9.0
  std::size_t shared_bytes = 48U << 10U;  // that a block may ask for, at most
  bool tf32 = false;                      // only if it was asked for
  bool tensor_cores = false;              // that this program has code for: has_tensor_cores()
  const StepMoment* moment = nullptr;     // device memory: kernels read it, not the StepContext that they get
};

}  // namespace descent
