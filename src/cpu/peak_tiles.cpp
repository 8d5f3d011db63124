#include "cpu/peak_tiles.h"

#include "cpu/simd.h"

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace descent {

namespace {

// Leaf 7 of cpuid, register edx: bf16 products of tiles, and tiles.
bool processor_has_them() {
  constexpr unsigned bf16_tiles = 1U << 22U;
  constexpr unsigned tiles = 1U << 24U;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx & bf16_tiles) != 0 && (edx & tiles) != 0;
}

// Linux gives the tiles' large state to those alone who ask for it (arch_prctl(2)).
bool system_allows_them() {
  constexpr long request_permission = 0x1023;
  constexpr long tile_data = 18;
  return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

// Eight tiles of sixteen rows of 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::array<std::uint8_t, 14> reserved{};
  std::array<std::uint16_t, 16> row_bytes{64, 64, 64, 64, 64, 64, 64, 64};
  std::array<std::uint8_t, 16> rows{16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

}  // namespace

bool may_use_bf16_tiles() {
  static const bool may = may_use_avx512 && processor_has_them() && system_allows_them();
  return may;
}

[[gnu::target("amx-tile,amx-bf16")]] void multiply_bf16_tiles(std::int64_t rounds) {
  // Static, so that it is in memory whole: GCC takes the instruction to read its head alone.
  static constexpr TileConfig config;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (std::int64_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

}  // namespace descent
