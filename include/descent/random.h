// Counter-based random numbers (Philox 4×32-10; Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", 2011). A draw is a pure function of seed, purpose, epoch and position: no state, so
// threads, devices and call order cannot change it. constexpr, so that CUDA code can call it too.
#pragma once

#include <array>
#include <cstdint>

namespace descent {

// What a draw is for. Values are part of the reproducibility promise: never renumber.
enum class Purpose : std::uint32_t { initialise = 1, shuffle = 2, dropout = 3, augment = 4, demo = 5 };

// Names a stream of draws. `item` tells apart streams of one purpose: a layer, a tensor.
struct RandomKey {
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::initialise;
  std::uint32_t epoch = 0;
  std::uint32_t item = 0;
};

using RandomBits = std::array<std::uint32_t, 4>;

namespace detail {
constexpr std::uint32_t high_half(std::uint64_t product) {
  return static_cast<std::uint32_t>(product >> 32U);
}
}  // namespace detail

// Four independent 32-bit words for `position` (an element or picture number) of the stream `key`.
constexpr RandomBits random_bits(const RandomKey& key, std::uint64_t position) {
  constexpr std::uint64_t multiplier0 = 0xD2511F53U;
  constexpr std::uint64_t multiplier1 = 0xCD9E8D57U;
  constexpr std::uint32_t weyl0 = 0x9E3779B9U;
  constexpr std::uint32_t weyl1 = 0xBB67AE85U;
  constexpr int rounds = 10;

  const auto purpose = static_cast<std::uint32_t>(key.purpose);
  RandomBits counter{static_cast<std::uint32_t>(position), detail::high_half(position), key.epoch,
                     key.item * 16U + purpose};
  auto key0 = static_cast<std::uint32_t>(key.seed);
  auto key1 = detail::high_half(key.seed);
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t product0 = multiplier0 * counter[0];
    const std::uint64_t product1 = multiplier1 * counter[2];
    counter = {detail::high_half(product1) ^ counter[1] ^ key0, static_cast<std::uint32_t>(product1),
               detail::high_half(product0) ^ counter[3] ^ key1, static_cast<std::uint32_t>(product0)};
    key0 += weyl0;
    key1 += weyl1;
  }
  return counter;
}

// Uniform in [0, 1), 24 bits: the same value in float and double.
constexpr float uniform(std::uint32_t bits) {
  return static_cast<float>(bits >> 8U) * (1.0F / 16777216.0F);
}

// Two independent standard normal draws (Box–Muller) from one position.
std::array<double, 2> normal_pair(const RandomKey& key, std::uint64_t position);

// Uniform integer in [0, bound), 0 < bound ≤ 2³² (Lemire's multiply-shift on 64 bits; bias below 2⁻³²).
constexpr std::uint64_t uniform_below(const RandomKey& key, std::uint64_t position, std::uint64_t bound) {
  const RandomBits bits = random_bits(key, position);
  return (bits[0] * bound + detail::high_half(bits[1] * bound)) >> 32U;
}

}  // namespace descent
