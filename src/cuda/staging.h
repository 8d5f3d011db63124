// Pinned memory through which bytes go to the device while host and device go on: a few places in turn, on a
// stream of their own, so that a batch is on its way while the step before is still computed.
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
  // Copies them to the device, beside what its stream has to do; what is put there from now on finds them. The
  // address, valid for what is on the stream before the next send.
  [[nodiscard]] const std::byte* send(std::size_t bytes);

 private:
  struct Place {
    PinnedBytes memory;
    DeviceBytes there;
    CudaEvent arrived;  // the pinned memory is free again
    CudaEvent read;     // … and the device's
  };

  CudaContext context_;
  CudaStream copies_;
  std::array<Place, 4> places_;
  Place* next_ = places_.data();
  Place* last_ = nullptr;  // that was sent
};

}  // namespace descent
