// The sums of a batch's losses, written where the host sees them while the device goes on.
#pragma once

#include "cuda/context.h"
#include "cuda/memory.h"
#include "descent/device.h"

#include <cstdint>
#include <mutex>

namespace descent {

class CudaResult {
 public:
  explicit CudaResult(const CudaContext& context);

  // Within a recorded part: adds up rows of loss and rightness.
  void gather(const CudaContext& context, const float* loss_rows, std::int64_t rows) const;
  // A gathering has been started, recorded or not; result() waits for the last one.
  void expect() { ++expected_; }
  [[nodiscard]] bool is_expected() const { return expected_ > 0; }
  // Asks the stream, if it takes long, with `recording` locked: who asks while another thread records ends
  // that.
  [[nodiscard]] StepResult result(std::recursive_mutex& recording) const;

  // Device memory: the last sum of losses.
  [[nodiscard]] const double* loss_sum() const { return sums_.as<double>(); }

 private:
  CudaContext context_;
  DeviceBytes sums_;
  PinnedBytes letter_;
  void* letter_there_ = nullptr;  // as kernels see it
  std::uint64_t expected_ = 0;
};

}  // namespace descent
