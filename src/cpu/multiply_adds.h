// Arithmetic at its fastest: for measuring what a machine can do at best.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace descent {

// More than the latency times the units of any processor so far (4 cycles × 2).
inline constexpr std::size_t multiply_add_chains = 12;

// Results go here, so that no compiler leaves the work out.
struct alignas(64) Sink {
  std::array<float, 16> values{};
};

// `rounds` multiply-adds in each of twelve chains that never leave registers. The factors are read from memory
// that the compiler cannot know: 1 and 0, so that nothing overflows.
template <class Vector>
[[gnu::always_inline]] inline void multiply_add(const volatile float* factors, std::int64_t rounds,
                                                Sink& sink) {
  const Vector factor = Vector{} + factors[0];
  const Vector term = Vector{} + factors[1];
  std::array<Vector, multiply_add_chains> sums;
  for (Vector& sum : sums) sum = Vector{} + factors[1];  // read anew: the chains must not look alike
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (std::size_t chain = 0; chain < multiply_add_chains; ++chain) sums[chain] = sums[chain] * factor + term;
  }
  for (std::size_t chain = 1; chain < multiply_add_chains; ++chain) sums[0] += sums[chain];
  std::memcpy(sink.values.data(), sums.data(), sizeof(Vector));
}

}  // namespace descent
