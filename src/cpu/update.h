// The fused optimizer pass over the flat buffers.
#pragma once

#include "cpu/context.h"
#include "descent/device.h"

#include <cstddef>
#include <cstdint>

namespace descent {

// The flat f32 buffers of one store and one optimizer state.
struct FlatBuffers {
  float* values = nullptr;
  const float* gradients = nullptr;
  float* state = nullptr;    // slot s begins at s·elements
  std::size_t elements = 0;  // of the flat buffer
  std::int64_t step = 1;     // of this update, from 1
};

// Moves the parameters of all ranges. Where the rate factor is 0 they stay as they are; their state moves
// along, and their gradients count for the norm that is clipped.
void update_flat(const CpuContext& context, const FlatBuffers& buffers, const UpdateRequest& request);

// √Σ g² over the ranges; sums in double at fixed places, so the number of threads changes nothing.
[[nodiscard]] double gradient_norm(const CpuContext& context, const float* gradients,
                                   std::span<const UpdateRange> ranges);

}  // namespace descent
