#include "cuda/staging.h"

namespace descent {

Staging::Staging(const CudaContext& context) : context_(context) {}

Staging::~Staging() {
  cudaStreamSynchronize(context_.stream);
}

std::byte* Staging::take(std::size_t bytes) {
  Place& place = places_[next_];
  check(cudaEventSynchronize(place.sent.get()), "cudaEventSynchronize");
  if (place.memory.bytes() < bytes) place.memory = PinnedBytes(bytes);
  return place.memory.as<std::byte>();
}

const std::byte* Staging::send(std::size_t bytes) {
  Place& place = places_[next_];
  next_ = (next_ + 1) % places_.size();
  if (arrived_.bytes() < bytes) arrived_ = DeviceBytes(bytes);
  check(cudaMemcpyAsync(arrived_.as(), place.memory.as(), bytes, cudaMemcpyHostToDevice, context_.stream),
        "cudaMemcpyAsync");
  check(cudaEventRecord(place.sent.get(), context_.stream), "cudaEventRecord");
  return arrived_.as<std::byte>();
}

}  // namespace descent
