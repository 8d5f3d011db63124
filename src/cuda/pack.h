// Neighbouring elements that are read and written as one, on an address that their bytes divide.
#pragma once

#include "cuda/sums.h"
#include "plan/element.h"

namespace descent {

template <int width, class Element>
__device__ inline Pack<Element, width> load_pack(const Element* from) {
  return *reinterpret_cast<const Pack<Element, width>*>(from);
}

template <int width, class Element>
__device__ inline void store_pack(Element* to, const Pack<Element, width>& pack) {
  *reinterpret_cast<Pack<Element, width>*>(to) = pack;
}

// `width` elements as f32.
template <int width, class Element>
__device__ inline void load_floats(const Element* from, float (&to)[width]) {
  const Pack<Element, width> pack = load_pack<width>(from);
#pragma unroll
  for (int i = 0; i < width; ++i) to[i] = to_f32(pack.values[i]);
}

template <int width, class Element>
__device__ inline void store_floats(Element* to, const float (&from)[width]) {
  Pack<Element, width> pack;
#pragma unroll
  for (int i = 0; i < width; ++i) pack.values[i] = to_element<Element>(from[i]);
  store_pack<width>(to, pack);
}

// As many elements as 16 bytes hold where the channels allow it, else one.
template <class Element>
constexpr int widest_pack = 16 / static_cast<int>(sizeof(Element));

}  // namespace descent
