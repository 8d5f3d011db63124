// The end of a convolution's kernels: from sums in registers to memory.
#pragma once

#include "cuda/conv_passes.h"
#include "cuda/pack.h"

namespace descent {

// Writes `width` neighbouring channels of one cell and leaves in `values` what was written. `count` of them
// exist.
template <int width, class Element>
__device__ inline void write_channels(const ConvEnding<Element>& ending,
                                      const typename ConvEnding<Element>::Channel (&channels)[width],
                                      float (&values)[width], std::int64_t at, int count,
                                      Element* destination) {
  const bool packed = count >= width && at % width == 0;
#pragma unroll
  for (int i = 0; i < width; ++i) values[i] = values[i] * channels[i].slope + channels[i].shift;
  if (ending.residual != nullptr) {
    for (int i = 0; i < width && i < count; ++i) values[i] += to_f32(ending.residual[at + i]);
  }
  if (ending.before != nullptr) {
    for (int i = 0; i < width && i < count; ++i) {
      const Element rounded = to_element<Element>(values[i]);
      ending.before[at + i] = rounded;
      values[i] = to_f32(rounded);  // as backward will read it
    }
  }
  if (ending.activates) {
#pragma unroll
    for (int i = 0; i < width; ++i) values[i] = ending.activation.value(values[i]);
  }
  Pack<Element, width> pack;
#pragma unroll
  for (int i = 0; i < width; ++i) {
    pack.values[i] = to_element<Element>(values[i]);
    values[i] = to_f32(pack.values[i]);
  }
  if (packed) return store_pack<width>(destination + at, pack);
#pragma unroll
  for (int i = 0; i < width; ++i) {
    if (i < count) destination[at + i] = pack.values[i];
  }
}

// Adds what was written to the sums.
template <int width>
__device__ inline void add_squares(const float (&values)[width], double (&first)[width],
                                   double (&second)[width]) {
#pragma unroll
  for (int i = 0; i < width; ++i) {
    const auto value = static_cast<double>(values[i]);
    first[i] += value;
    second[i] += value * value;
  }
}

}  // namespace descent
