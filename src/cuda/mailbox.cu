#include "cuda/launch.h"
#include "cuda/mailbox.h"

#include <algorithm>
#include <cstring>

namespace descent {
namespace {

struct Letter {
  unsigned char bytes[mailbox_bytes];
};

__global__ void deliver(const Letter letter, unsigned char* to, unsigned count) {
  for (unsigned i = threadIdx.x; i < count; i += blockDim.x) to[i] = letter.bytes[i];
}

}  // namespace

void post(const CudaContext& context, void* to, std::span<const std::byte> bytes) {
  auto* place = static_cast<unsigned char*>(to);
  while (!bytes.empty()) {
    const std::size_t count = std::min(bytes.size(), mailbox_bytes);
    Letter letter{};
    std::memcpy(letter.bytes, bytes.data(), count);
    launch(context, "posting to the device", {1, 256}, deliver, letter, place, static_cast<unsigned>(count));
    bytes = bytes.subspan(count);
    place += count;
  }
}

}  // namespace descent
