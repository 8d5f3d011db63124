// Neighbouring elements that are read and written as one, on an address that their bytes divide.
#pragma once

#include "cuda/intrinsics.h"
#include "cuda/sums.h"
#include "plan/element.h"

#include <bit>
#include <cstdint>
#include <type_traits>

namespace descent {

// What a pack moves as: whole words, where it has some. (As elements it would be taken apart, and might be
// stored so.)
template <class Element, int width>
using Moved = std::conditional_t<sizeof(Element) * width % sizeof(std::uint32_t) == 0,
                                 Pack<std::uint32_t, (sizeof(Element) * width + 3) / sizeof(std::uint32_t)>,
                                 Pack<Element, width>>;

template <int width, class Element>
__device__ inline Pack<Element, width> load_pack(const Element* from) {
  return std::bit_cast<Pack<Element, width>>(*reinterpret_cast<const Moved<Element, width>*>(from));
}

template <int width, class Element>
__device__ inline void store_pack(Element* to, const Pack<Element, width>& pack) {
  *reinterpret_cast<Moved<Element, width>*>(to) = std::bit_cast<Moved<Element, width>>(pack);
}

template <class Element, int width>
__device__ inline void to_floats(const Pack<Element, width>& pack, float (&to)[width]) {
  if constexpr (std::is_same_v<Element, Bf16> && width % 2 == 0) {
    const auto pairs = std::bit_cast<Pack<std::uint32_t, width / 2>>(pack);
#pragma unroll
    for (int i = 0; i < width; i += 2) {
      to[i] = std::bit_cast<float>(pairs.values[i / 2] << 16U);
      to[i + 1] = std::bit_cast<float>(pairs.values[i / 2] & 0xffff0000U);
    }
  } else {
#pragma unroll
    for (int i = 0; i < width; ++i) to[i] = to_f32(pack.values[i]);
  }
}

// Rounded to elements; in bf16 two at once.
template <class Element, int width>
__device__ inline Pack<Element, width> to_pack(const float (&from)[width]) {
  if constexpr (std::is_same_v<Element, Bf16> && width % 2 == 0) {
    Pack<std::uint32_t, width / 2> pairs;
#pragma unroll
    for (int i = 0; i < width; i += 2) pairs.values[i / 2] = round_pair(from[i], from[i + 1]);
    return std::bit_cast<Pack<Element, width>>(pairs);
  } else {
    Pack<Element, width> pack;
#pragma unroll
    for (int i = 0; i < width; ++i) pack.values[i] = to_element<Element>(from[i]);
    return pack;
  }
}

// As they would be read again where they were written.
template <class Element, int width>
__device__ inline void round_floats(float (&values)[width]) {
  to_floats(to_pack<Element>(values), values);
}

// `width` elements as f32.
template <int width, class Element>
__device__ inline void load_floats(const Element* from, float (&to)[width]) {
  to_floats(load_pack<width>(from), to);
}

template <int width, class Element>
__device__ inline void store_floats(Element* to, const float (&from)[width]) {
  store_pack<width>(to, to_pack<Element>(from));
}

// Elements at the same places of two tensors.
template <class Element, int width>
struct PackPair {
  Pack<Element, width> first;
  Pack<Element, width> second;
};
template <int width, class Element>
__device__ inline PackPair<Element, width> load_packs(const Element* first, const Element* second,
                                                      std::int64_t at) {
  return {load_pack<width>(first + at), load_pack<width>(second + at)};
}

// As many elements as 16 bytes hold where the channels allow it, else one.
template <class Element>
constexpr int widest_pack = 16 / static_cast<int>(sizeof(Element));

}  // namespace descent
