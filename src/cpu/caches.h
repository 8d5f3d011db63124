// The processor's caches, for loops that cut their work to what fits.
#pragma once

#include <unistd.h>

#include <cstdint>

namespace descent {

// Bytes of a core's second cache; where the system does not tell, those of the smallest in use.
[[nodiscard]] inline std::int64_t second_cache_bytes() {
  constexpr std::int64_t smallest = std::int64_t{256} * 1024;
  const long told = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return told > 0 ? told : smallest;
}

}  // namespace descent
