#include "plan/arena.h"

#include <algorithm>
#include <numeric>

namespace descent {

namespace {

std::size_t aligned(std::size_t bytes) {
  return (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
}

bool overlap_in_time(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

ArenaPlan plan_arena(std::span<const Lifetime> lifetimes) {
  std::vector<std::size_t> by_size(lifetimes.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](std::size_t a, std::size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  ArenaPlan plan{std::vector<std::size_t>(lifetimes.size()), 0};
  std::vector<std::size_t> placed;  // sorted by offset
  for (const std::size_t current : by_size) {
    const std::size_t size = aligned(lifetimes[current].bytes);
    std::size_t offset = 0;
    for (const std::size_t other : placed) {
      if (!overlap_in_time(lifetimes[current], lifetimes[other])) continue;
      if (offset + size <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + aligned(lifetimes[other].bytes));
    }
    plan.offsets[current] = offset;
    plan.bytes = std::max(plan.bytes, offset + size);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), current,
                         [&](std::size_t a, std::size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
        current);
  }
  return plan;
}

}  // namespace descent
