#include "descent/random.h"

#include <cmath>
#include <numbers>

namespace descent {

std::array<double, 2> normal_pair(const RandomKey& key, std::uint64_t position) {
  constexpr double two_to_minus_32 = 1.0 / 4294967296.0;
  const RandomBits bits = random_bits(key, position);
  const double radius = std::sqrt(-2.0 * std::log((bits[0] + 1.0) * two_to_minus_32));  // of (0, 1]
  const double angle = 2.0 * std::numbers::pi * bits[1] * two_to_minus_32;
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace descent
