// The gradients of a value's readers, which add up to the value's own.
#pragma once

#include "cuda/pack.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace descent {

inline constexpr std::size_t most_branches = 64;  // summed by one launch

template <class Element>
struct Branches {
  const Element* from[most_branches] = {};
  int count = 0;

  [[nodiscard]] static Branches of(std::span<void* const> branches) {
    Branches all;
    for (void* const branch : branches) all.from[all.count++] = static_cast<const Element*>(branch);
    return all;
  }

  // Their sum in f32, rounded once, at the end.
  template <int width>
  __device__ void sum(std::int64_t at, float (&total)[width]) const {
    load_floats<width>(from[0] + at, total);
    for (int branch = 1; branch < count; ++branch) {
      float more[width];
      load_floats<width>(from[branch] + at, more);
#pragma unroll
      for (int i = 0; i < width; ++i) total[i] += more[i];
    }
#pragma unroll
    for (int i = 0; i < width; ++i) total[i] = to_f32(to_element<Element>(total[i]));
  }
};

}  // namespace descent
