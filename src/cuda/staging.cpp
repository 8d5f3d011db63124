#include "cuda/staging.h"

namespace descent {

Staging::Staging(const CudaContext& context) : context_(context) {
  copies_.create(stream_priorities().first);
}

Staging::~Staging() {
  cudaStreamSynchronize(context_.stream);
  cudaStreamSynchronize(copies_.get());
}

std::byte* Staging::take(std::size_t bytes) {
  check(cudaEventSynchronize(next_->arrived.get()), "cudaEventSynchronize");
  if (next_->memory.bytes() < bytes) next_->memory = PinnedBytes(bytes);
  return next_->memory.as<std::byte>();
}

const std::byte* Staging::send(std::size_t bytes) {
  if (last_ != nullptr) check(cudaEventRecord(last_->read.get(), context_.stream), "cudaEventRecord");
  Place& place = *next_;
  last_ = next_++;
  if (next_ == places_.data() + places_.size()) next_ = places_.data();
  if (place.there.bytes() < bytes) place.there = DeviceBytes(bytes);  // freeing waits for the device
  check(cudaStreamWaitEvent(copies_.get(), place.read.get(), 0), "cudaStreamWaitEvent");
  check(cudaMemcpyAsync(place.there.as(), place.memory.as(), bytes, cudaMemcpyHostToDevice, copies_.get()),
        "cudaMemcpyAsync");
  check(cudaEventRecord(place.arrived.get(), copies_.get()), "cudaEventRecord");
  check(cudaStreamWaitEvent(context_.stream, place.arrived.get(), 0), "cudaStreamWaitEvent");
  return place.there.as<std::byte>();
}

}  // namespace descent
