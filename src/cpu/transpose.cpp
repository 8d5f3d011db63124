// Sixteen rows of sixteen numbers are turned in registers, in four steps that each exchange halves of pairs of
// vectors. Bound: bytes, one read and one write of each number.
#include "cpu/transpose.h"

#include "cpu/lanes.h"
#include "cpu/simd.h"

#include <array>
#include <cstring>
#include <utility>

namespace descent {

namespace {

using Square = std::array<Vector, 16>;

// Where the lanes of rows i and i + size come from, counted through both.
constexpr int low_lane(int size, int lane) {
  return lane / size % 2 == 1 ? 16 + lane - size : lane;
}
constexpr int high_lane(int size, int lane) {
  return lane / size % 2 == 1 ? 16 + lane : lane + size;
}

// Exchanges, between rows i and i + size, the stretches of `size` numbers across the diagonal.
template <int size, int... lane>
[[gnu::always_inline]] inline void exchange(Square& rows, std::integer_sequence<int, lane...> /*lanes*/) {
#pragma GCC unroll 16
  for (std::size_t i = 0; i < 16; ++i) {
    if ((i / std::size_t{size}) % 2 == 1) continue;
    const Vector a = rows[i];
    const Vector b = rows[i + size];
    rows[i] = __builtin_shufflevector(a, b, low_lane(size, lane)...);
    rows[i + size] = __builtin_shufflevector(a, b, high_lane(size, lane)...);
  }
}

[[gnu::always_inline]] inline void turn(Square& rows) {
  constexpr std::make_integer_sequence<int, 16> every_lane;
  exchange<8>(rows, every_lane);
  exchange<4>(rows, every_lane);
  exchange<2>(rows, every_lane);
  exchange<1>(rows, every_lane);
}

// Row i of a square is `step` numbers behind row i − 1.
DESCENT_CLONES void turn_squares(const float* from, std::int64_t from_step, std::int64_t from_square, float* to,
                                 std::int64_t to_step, std::int64_t to_square, std::int64_t squares) {
  for (std::int64_t square = 0; square < squares; ++square) {
    Square rows;
#pragma GCC unroll 16
    for (std::size_t i = 0; i < 16; ++i) {
      std::memcpy(&rows[i], from + static_cast<std::int64_t>(i) * from_step, sizeof(Vector));
    }
    turn(rows);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < 16; ++i) {
      std::memcpy(to + static_cast<std::int64_t>(i) * to_step, &rows[i], sizeof(Vector));
    }
    from += from_square;
    to += to_square;
  }
}

}  // namespace

void pictures_to_lanes(const float* from, float* to, std::int64_t elements) {
  turn_squares(from, elements, lanes, to, lanes, lanes * lanes, elements / lanes);
  for (std::int64_t i = elements / lanes * lanes; i < elements; ++i) {
    for (std::int64_t n = 0; n < lanes; ++n) to[i * lanes + n] = from[n * elements + i];
  }
}

void lanes_to_pictures(const float* from, float* to, std::int64_t elements) {
  turn_squares(from, lanes, lanes * lanes, to, elements, lanes, elements / lanes);
  for (std::int64_t i = elements / lanes * lanes; i < elements; ++i) {
    for (std::int64_t n = 0; n < lanes; ++n) to[n * elements + i] = from[i * lanes + n];
  }
}

}  // namespace descent
