#include "emulated_device.h"

#include "cuda/device.h"

#include <condition_variable>
#include <mutex>

namespace descent::test {

std::unique_ptr<Device> make_emulated_cuda(const DeviceOptions& options, int ordinal) {
  return std::make_unique<CudaDevice>(ordinal, options);
}

std::size_t emulated_replays() {
  return cuda_host::graph_launches();
}

struct HeldStreams::Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
};

HeldStreams::HeldStreams() : gate_(std::make_shared<Gate>()) {
  cuda_host::enqueue_everywhere([gate = gate_] {
    std::unique_lock lock(gate->mutex);
    gate->changed.wait(lock, [&] { return gate->open; });
  });
}

HeldStreams::~HeldStreams() {
  const std::lock_guard lock(gate_->mutex);
  gate_->open = true;
  gate_->changed.notify_all();
}

}  // namespace descent::test
