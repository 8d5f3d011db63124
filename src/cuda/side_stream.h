// A second stream, for work that nobody waits for at once: gradients of weights, while the gradients that the
// layers before wait for go on.
#pragma once

#include "cuda/context.h"
#include "cuda/stream.h"

#include <cuda_runtime.h>

#include <array>

namespace descent {

class SideStream {
 public:
  // Beside `main`, which goes first where both have work to do.
  explicit SideStream(cudaStream_t main);
  SideStream(const SideStream&) = delete;
  SideStream& operator=(const SideStream&) = delete;

  [[nodiscard]] cudaStream_t stream() const { return stream_.get(); }
  // What is put on the stream from now on follows all that is on the main one so far; end() marks where it
  // ends.
  void begin();
  void end();
  // The main stream waits for what ended before the last call of this.
  void advance();
  // … for all that ended.
  void catch_up();
  // Nothing is waited for: what was enqueued belonged to a recording that failed, or somebody else waits.
  void forget();

 private:
  // One round's: what ended since the last advance(), and since the one before that.
  struct Mark {
    CudaEvent event;
    bool set = false;
  };
  void wait_for(Mark& mark);

  cudaStream_t main_;
  CudaStream stream_;
  CudaEvent begin_;
  std::array<Mark, 2> ends_;
  std::size_t now_ = 0;
};

// The context for what runs on its second stream.
[[nodiscard]] inline CudaContext beside(const CudaContext& context) {
  CudaContext other = context;
  if (context.side != nullptr) other.stream = context.side->stream();
  other.side = nullptr;
  return other;
}

// work(context) beside what follows, if the context has a second stream, else in its turn. Kernels that do so
// say it in KernelNeeds::backward_trails.
template <class Work>
void run_beside(const CudaContext& context, const Work& work) {
  if (context.side == nullptr) return work(context);
  context.side->begin();
  work(beside(context));
  context.side->end();
}

}  // namespace descent
