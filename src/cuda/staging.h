// Pinned memory through which bytes go to the device while the host goes on: a few places in turn, each free
// again once what was copied from it has arrived.
#pragma once

#include "cuda/context.h"
#include "cuda/memory.h"
#include "cuda/stream.h"

#include <array>
#include <cstddef>

namespace descent {

class Staging {
 public:
  explicit Staging(const CudaContext& context);
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging();

  // Memory for so many bytes; waits for the copy that used it last.
  [[nodiscard]] std::byte* take(std::size_t bytes);
  // Copies them to the device: the address there, valid until the next send.
  [[nodiscard]] const std::byte* send(std::size_t bytes);

 private:
  struct Place {
    PinnedBytes memory;
    CudaEvent sent;
  };

  CudaContext context_;
  std::array<Place, 4> places_;
  std::size_t next_ = 0;
  DeviceBytes arrived_;  // one is enough: copies and kernels are in one stream
};

}  // namespace descent
