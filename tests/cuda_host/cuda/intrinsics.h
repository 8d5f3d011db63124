// Counterpart of src/cuda/intrinsics.h on the host.
#pragma once

#include "plan/element.h"

#include <cuda_runtime.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace descent {

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(cuda_host::dynamic_shared());
}

inline std::uint32_t round_pair(float low, float high) {
  return std::uint32_t{to_bf16(low).bits} | std::uint32_t{to_bf16(high).bits} << 16U;
}

inline void copy_async(void* to, const void* from, bool valid) {
  if (valid) {
    std::memcpy(to, from, 16);
  } else {
    std::memset(to, 0, 16);
  }
}
inline void commit_copies() {}
template <int left>
void wait_for_copies() {}

inline void load_transposed(std::uint32_t (&to)[4], const void* row) {
  const unsigned lane = cuda_host::lane();
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    to[matrix] = 0;
    for (unsigned half = 0; half < 2; ++half) {
      const void* const place = cuda_host::exchange_value(row, 8 * matrix + 2 * (lane % 4) + half);
      std::uint16_t element = 0;
      std::memcpy(&element, static_cast<const std::uint16_t*>(place) + lane / 4, sizeof element);
      to[matrix] |= std::uint32_t{element} << (16 * half);
    }
  }
}

inline void multiply_tiles(float (&sums)[4], const std::uint32_t (&left)[4], std::uint32_t right_low,
                           std::uint32_t right_high) {
  const unsigned lane = cuda_host::lane();
  const auto halves = [](std::uint32_t pair) {
    return std::array{to_f32(Bf16{static_cast<std::uint16_t>(pair)}),
                      to_f32(Bf16{static_cast<std::uint16_t>(pair >> 16U)})};
  };
  for (unsigned quarter = 0; quarter < 4; ++quarter) {  // k is 2·quarter + 8·high + half
    const unsigned row_lane = lane / 4 * 4 + quarter;
    for (std::size_t high = 0; high < 2; ++high) {
      const auto upper = halves(cuda_host::exchange_value(left[2 * high], row_lane));
      const auto lower = halves(cuda_host::exchange_value(left[2 * high + 1], row_lane));
      for (unsigned column = 0; column < 2; ++column) {
        const unsigned column_lane = (lane % 4 * 2 + column) * 4 + quarter;
        const auto right = halves(cuda_host::exchange_value(high == 0 ? right_low : right_high, column_lane));
        for (unsigned half = 0; half < 2; ++half) {
          sums[column] += upper[half] * right[half];
          sums[2 + column] += lower[half] * right[half];
        }
      }
    }
  }
}

}  // namespace descent
