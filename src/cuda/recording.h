// Work recorded once and played back: launches follow each other without the host between them.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <memory>
#include <type_traits>

namespace descent {

struct RecordingRelease {
  void operator()(cudaGraphExec_t graph) const noexcept { cudaGraphExecDestroy(graph); }
};
using RecordedWork = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, RecordingRelease>;

// All that `work` enqueues on the stream; nothing of it runs. What `work` throws passes through.
[[nodiscard]] RecordedWork record_work(cudaStream_t stream, const std::function<void()>& work);

}  // namespace descent
