// Owners of streams and events.
#pragma once

#include "cuda/check.h"

#include <cuda_runtime.h>

namespace descent {

// Smaller numbers go first.
struct StreamPriorities {
  int last = 0;
  int first = 0;
};
[[nodiscard]] inline StreamPriorities stream_priorities() {
  StreamPriorities found;
  check(cudaDeviceGetStreamPriorityRange(&found.last, &found.first), "cudaDeviceGetStreamPriorityRange");
  return found;
}

class CudaStream {
 public:
  CudaStream() = default;
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  ~CudaStream() {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }
  cudaStream_t create(int priority) {
    check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, priority),
          "cudaStreamCreateWithPriority");
    return stream_;
  }
  [[nodiscard]] cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class CudaEvent {
 public:
  // cudaEventDefault: for timing.
  explicit CudaEvent(unsigned flags = cudaEventDisableTiming) {
    check(cudaEventCreateWithFlags(&event_, flags), "cudaEventCreateWithFlags");
  }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  ~CudaEvent() { cudaEventDestroy(event_); }
  [[nodiscard]] cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace descent
