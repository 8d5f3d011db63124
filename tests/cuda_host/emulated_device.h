// The CUDA device as tests have it everywhere: compiled as plain C++, on a CUDA runtime that threads of the
// host play. Knows no CUDA header, so that any test may include it.
#pragma once

#include "descent/device.h"

#include <cstddef>
#include <memory>

namespace descent::test {

// It finds libraries only where LibrariesAreThere (naive_libraries.h).
[[nodiscard]] std::unique_ptr<Device> make_emulated_cuda(const DeviceOptions& options, int ordinal = 0);

// Recordings played back so far by all emulated devices.
[[nodiscard]] std::size_t emulated_replays();

// Until it ends, emulated devices do nothing of what they are asked for from now on.
class HeldStreams {
 public:
  HeldStreams();
  HeldStreams(const HeldStreams&) = delete;
  HeldStreams& operator=(const HeldStreams&) = delete;
  ~HeldStreams();

 private:
  struct Gate;
  std::shared_ptr<Gate> gate_;
};

}  // namespace descent::test
