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

  // Unknown ones are added up where they are loaded.
  template <int width>
  struct Loaded {
    Pack<Element, width> packs[known == 0 ? 1 : known];
  };
  template <int width>
  [[nodiscard]] __device__ Loaded<width> load(std::int64_t at) const {
    Loaded<width> loaded;
    if constexpr (known == 0) {
      float total[width];
      load_floats<width>(from[0] + at, total);
      for (int branch = 1; branch < count; ++branch) add(load_pack<width>(from[branch] + at), total);
      loaded.packs[0] = to_pack<Element>(total);
    } else {
#pragma unroll
      for (int branch = 0; branch < known; ++branch) loaded.packs[branch] = load_pack<width>(from[branch] + at);
    }
    return loaded;
  }

  // Their sum in f32, rounded once, at the end.
  template <int width>
  __device__ void sum(const Loaded<width>& loaded, float (&total)[width]) const {
    to_floats(loaded.packs[0], total);
#pragma unroll
    for (int branch = 1; branch < known; ++branch) add(loaded.packs[branch], total);
    if constexpr (known > 1) round_floats<Element>(total);
  }

 private:
  template <int width>
  static __device__ void add(const Pack<Element, width>& pack, float (&total)[width]) {
    float more[width];
    to_floats(pack, more);
#pragma unroll
    for (int i = 0; i < width; ++i) total[i] += more[i];
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
