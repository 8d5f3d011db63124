// The optimizer's pass over the flat buffers, in two halves: what changes from step to step goes to the device
// first, then kernels that may be recorded do the work.
#pragma once

#include "cuda/context.h"
#include "cuda/memory.h"
#include "descent/device.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace descent {

// What the recorded kernels of an update depend on; where it differs they must be recorded again.
struct CudaUpdateKey {
  std::size_t rule = 0;  // index in Optimizer
  std::size_t ranges = 0;
  std::int64_t chunks = 0;
  bool clips = false;
  void* values = nullptr;
  const void* gradients = nullptr;
  void* state = nullptr;
  const void* table = nullptr;

  friend bool operator==(const CudaUpdateKey&, const CudaUpdateKey&) = default;
};

class CudaUpdate {
 public:
  explicit CudaUpdate(const CudaContext& context);

  // Hands over one update and counts state.step up.
  CudaUpdateKey prepare(ParameterStore& store, OptimizerState& state, const UpdateRequest& request);
  // Moves the parameters as prepared last. Nothing moves unless `loss_sum` (device memory; null: no loss) is
  // finite.
  void enqueue(const double* loss_sum) const;

 private:
  CudaContext context_;
  DeviceBytes table_;     // of the ranges: where they lie and their steps
  DeviceBytes partials_;  // of the gradients' norm
  std::vector<std::byte> letter_;
  std::vector<std::byte> posted_;  // the table's content
  CudaUpdateKey prepared_;
  std::int64_t stride_ = 0;  // of the slots of the state
  double clip_norm_ = 0;
};

}  // namespace descent
