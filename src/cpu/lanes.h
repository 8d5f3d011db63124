// Sixteen pictures to a vector: the layout n16chw, N/16 × C × H × W × 16, fills every lane at any number of
// channels, 1, 8 and 10 included, needs no padding, and makes each loop over pictures a vector operation.
#pragma once

#include "cpu/registers.h"

#include <cstdint>
#include <vector>

namespace descent {

inline constexpr std::int64_t lanes = 16;
// In bf16 a register holds twice as many: the layout n32chw.
inline constexpr std::int64_t bf16_lanes = 32;

// Output channels that stay in registers together from `channel` on: 8 while there are 8, then 4, 2, 1.
[[nodiscard]] constexpr std::int64_t channel_block(std::int64_t channel, std::int64_t channels) {
  std::int64_t size = 8;
  while (size > channels - channel) size /= 2;
  return size;
}

// Taps of a convolution along one axis, seen from the tensor that is computed.
struct AxisTap {
  std::int64_t kernel = 0;  // index in the kernel
  std::int64_t source = 0;  // where the first of a run reads
};

// Neighbours that have the same taps: output `first + i·stride` reads at `source + i·step`, i < count.
struct AxisRun {
  std::int64_t first = 0;
  std::int64_t stride = 1;
  std::int64_t count = 1;
  std::int64_t step = 1;
  std::vector<AxisTap> taps;
};

struct Axis {
  std::int64_t input = 0;  // size of the convolution's input, output and kernel along it
  std::int64_t output = 0;
  std::int64_t kernel = 0;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t dilation = 1;

  // Where a tap of an output reads; outside of the input it is padding.
  [[nodiscard]] constexpr std::int64_t source(std::int64_t of_output, std::int64_t tap) const {
    return of_output * stride - padding + tap * dilation;
  }
};

// All outputs of a convolution, taps in the padding left out; runs of at most `longest`.
[[nodiscard]] std::vector<AxisRun> forward_runs(const Axis& axis, std::int64_t longest);
// All inputs, each with the outputs that it went into: what the gradient of the input sums.
[[nodiscard]] std::vector<AxisRun> backward_runs(const Axis& axis, std::int64_t longest);

}  // namespace descent
