// As many rows of as many numbers as a register holds are turned in registers, in steps that each exchange
// halves of pairs of them. In bf16 two rows become one of pairs first, so that a turn moves twice as many
// numbers. Bound: bytes, one read and one write of each number. Measured with two threads of a Zen 4, whose
// copies in cache reach 190 GB/s: 125 GB/s to pictures of 256 numbers (bench --mode infer of convnet), in bf16
// 80 from pictures of 784 (by its share of a profile of the same).
#include "cpu/transpose.h"

#include "cpu/lane_step.h"
#include "cpu/lanes.h"
#include "cpu/registers.h"
#include "cpu/simd.h"

#include <array>
#include <cstring>
#include <utility>

namespace descent {

namespace {

template <class Register>
inline constexpr auto side = static_cast<int>(register_width<Register>);
template <class Register>
using Square = std::array<Register, std::size_t{side<Register>}>;

// Where the lanes of rows i and i + size come from, counted through both.
constexpr int low_lane(int rows, int size, int lane) {
  return lane / size % 2 == 1 ? rows + lane - size : lane;
}
constexpr int high_lane(int rows, int size, int lane) {
  return lane / size % 2 == 1 ? rows + lane : lane + size;
}

// Exchanges, between rows i and i + size, the stretches of `size` numbers across the diagonal.
template <int size, class Register, int... lane>
[[gnu::always_inline]] inline void exchange(Square<Register>& rows,
                                            std::integer_sequence<int, lane...> /*lanes*/) {
  constexpr int count = side<Register>;
#pragma GCC unroll 16
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if ((i / std::size_t{size}) % 2 == 1) continue;
    const Register a = rows[i];
    const Register b = rows[i + size];
    rows[i] = __builtin_shufflevector(a, b, low_lane(count, size, lane)...);
    rows[i + size] = __builtin_shufflevector(a, b, high_lane(count, size, lane)...);
  }
}

template <class Register>
[[gnu::always_inline]] inline void turn(Square<Register>& rows) {
  constexpr std::make_integer_sequence<int, side<Register>> every_lane;
  if constexpr (side<Register> == 16) exchange<8, Register>(rows, every_lane);
  exchange<4, Register>(rows, every_lane);
  exchange<2, Register>(rows, every_lane);
  exchange<1, Register>(rows, every_lane);
}

// Row i of a square is `step` numbers behind row i − 1. Squares of sixteen, in parts that fit the registers.
template <class Register>
DESCENT_CLONES void turn_squares(const float* from, std::int64_t from_step, std::int64_t from_square, float* to,
                                 std::int64_t to_step, std::int64_t to_square, std::int64_t squares) {
  constexpr std::int64_t width = register_width<Register>;
  for (std::int64_t square = 0; square < squares; ++square) {
    for (std::int64_t down = 0; down < lanes; down += width) {
      for (std::int64_t across = 0; across < lanes; across += width) {
        Square<Register> rows;
        const float* const source = from + down * from_step + across;
        float* const destination = to + across * to_step + down;
#pragma GCC unroll 16
        for (std::size_t i = 0; i < rows.size(); ++i) {
          std::memcpy(&rows[i], source + static_cast<std::int64_t>(i) * from_step, sizeof(Register));
        }
        turn<Register>(rows);
#pragma GCC unroll 16
        for (std::size_t i = 0; i < rows.size(); ++i) {
          std::memcpy(destination + static_cast<std::int64_t>(i) * to_step, &rows[i], sizeof(Register));
        }
      }
    }
    from += from_square;
    to += to_square;
  }
}

void turn_all(const float* from, std::int64_t from_step, std::int64_t from_square, float* to,
              std::int64_t to_step, std::int64_t to_square, std::int64_t squares) {
  with_registers([&]<class Register>(Register) {
    turn_squares<Register>(from, from_step, from_square, to, to_step, to_square, squares);
  });
}

// Thirty-two pictures, two neighbours to a number of a register.
template <class Register>
DESCENT_CLONES void turn_pairs(const float* from, std::int64_t elements, Bf16* to) {
  constexpr std::int64_t width = register_width<Register>;
  const auto read = [&](std::int64_t picture, std::int64_t element) __attribute__((always_inline)) {
    Register numbers;
    std::memcpy(&numbers, from + picture * elements + element, sizeof numbers);
    return rounded(numbers);
  };
  for (std::int64_t element = 0; element + width <= elements; element += width) {
    for (std::int64_t picture = 0; picture < bf16_lanes; picture += 2 * width) {
      Square<Register> rows;
#pragma GCC unroll 16
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::int64_t first = picture + 2 * static_cast<std::int64_t>(i);
        rows[i] = reinterpret_cast<Register>(read(first, element) | (read(first + 1, element) << 16));
      }
      turn<Register>(rows);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::int64_t at = (element + static_cast<std::int64_t>(i)) * bf16_lanes + picture;
        std::memcpy(to + at, &rows[i], sizeof rows[i]);
      }
    }
  }
  for (std::int64_t i = elements / width * width; i < elements; ++i) {
    for (std::int64_t n = 0; n < bf16_lanes; ++n) to[i * bf16_lanes + n] = to_bf16(from[n * elements + i]);
  }
}

}  // namespace

void pictures_to_lanes(const float* from, Bf16* to, std::int64_t elements) {
  with_registers([&]<class Register>(Register) { turn_pairs<Register>(from, elements, to); });
}

void pictures_to_lanes(const float* from, float* to, std::int64_t elements) {
  turn_all(from, elements, lanes, to, lanes, lanes * lanes, elements / lanes);
  for (std::int64_t i = elements / lanes * lanes; i < elements; ++i) {
    for (std::int64_t n = 0; n < lanes; ++n) to[i * lanes + n] = from[n * elements + i];
  }
}

void lanes_to_pictures(const float* from, float* to, std::int64_t elements) {
  turn_all(from, lanes, lanes * lanes, to, elements, lanes, elements / lanes);
  for (std::int64_t i = elements / lanes * lanes; i < elements; ++i) {
    for (std::int64_t n = 0; n < lanes; ++n) to[n * elements + i] = from[i * lanes + n];
  }
}

}  // namespace descent
