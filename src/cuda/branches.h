// The gradients of a value's readers, which add up to the value's own.
#pragma once

#include "cuda/pack.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace descent {

inline constexpr int most_branches = 64;  // summed by one launch

// `known`: how many there are, so that all are on their way at once; 0 if it is known to the kernel's caller
// alone.
template <class Element, int known = 0>
struct Branches {
  const Element* from[known == 0 ? most_branches : known] = {};
  int count = known;

  explicit Branches(std::span<void* const> branches) : count(static_cast<int>(branches.size())) {
    for (int i = 0; i < count; ++i)
      from[i] = static_cast<const Element*>(branches[static_cast<std::size_t>(i)]);
  }

  // Their sum in f32, rounded once, at the end.
  template <int width>
  __device__ void sum(std::int64_t at, float (&total)[width]) const {
    load_floats<width>(from[0] + at, total);
    const int all = known == 0 ? count : known;
#pragma unroll
    for (int branch = 1; branch < all; ++branch) {
      float more[width];
      load_floats<width>(from[branch] + at, more);
#pragma unroll
      for (int i = 0; i < width; ++i) total[i] += more[i];
    }
#pragma unroll
    for (int i = 0; i < width; ++i) total[i] = to_f32(to_element<Element>(total[i]));
  }
};

// f(Branches), with one or two of them known to the compiler.
template <class Element, class Function>
void with_branches(std::span<void* const> branches, Function&& f) {
  if (branches.size() == 1) return f(Branches<Element, 1>(branches));
  if (branches.size() == 2) return f(Branches<Element, 2>(branches));
  f(Branches<Element>(branches));
}

}  // namespace descent
