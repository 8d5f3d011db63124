// One arena for everything that lives only during a step: ranges are reused once their content is dead.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace descent {

// Memory that is needed from event `first` to event `last`, both included.
struct Lifetime {
  std::size_t bytes = 0;
  std::size_t first = 0;
  std::size_t last = 0;
};

struct ArenaPlan {
  std::vector<std::size_t> offsets;  // one a lifetime, multiples of arena_alignment
  std::size_t bytes = 0;
};

inline constexpr std::size_t arena_alignment = 256;  // what cuBLASLt asks of its workspace

// Largest first, each at the lowest offset that is free throughout its life ("greedy by size"; Pisarchyk &
// Lee, "Efficient memory management for deep neural net inference", 2020).
[[nodiscard]] ArenaPlan plan_arena(std::span<const Lifetime> lifetimes);

}  // namespace descent
