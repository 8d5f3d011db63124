// The end of a convolution's kernels: from sums in registers to memory.
#pragma once

#include "cuda/activation.h"
#include "cuda/conv_passes.h"
#include "cuda/pack.h"

namespace descent {

// Rounds the values to elements and writes them.
template <int width, class Element>
__device__ inline void write_pack(Element* to, float (&values)[width], std::int64_t at, bool packed,
                                  int count) {
  const Pack<Element, width> pack = to_pack<Element>(values);
  to_floats(pack, values);
  if (packed) return store_pack<width>(to + at, pack);
#pragma unroll
  for (int i = 0; i < width; ++i) {
    if (i < count) to[at + i] = pack.values[i];
  }
}

// Writes `width` neighbouring channels of one cell and leaves in `values` what was written. `count` of them
// exist.
template <int width, class Element>
__device__ inline void write_channels(const ConvEnding<Element>& ending,
                                      const typename ConvEnding<Element>::Channel (&channels)[width],
                                      float (&values)[width], std::int64_t at, int count,
                                      Element* destination) {
  const bool packed = count >= width && static_cast<unsigned>(at) % width == 0;
#pragma unroll
  for (int i = 0; i < width; ++i) values[i] = values[i] * channels[i].slope + channels[i].shift;
  if (ending.residual != nullptr) {
    float more[width] = {};
    if (packed) load_floats<width>(ending.residual + at, more);
    for (int i = 0; !packed && i < width && i < count; ++i) more[i] = to_f32(ending.residual[at + i]);
#pragma unroll
    for (int i = 0; i < width; ++i) values[i] += more[i];
  }
  if (ending.before != nullptr) {
    write_pack<width>(ending.before, values, at, packed, count);  // rounded, as backward will read it
  }
  if (ending.activates) activate(ending.activation, values);
  write_pack<width>(destination, values, at, packed, count);
}

}  // namespace descent
