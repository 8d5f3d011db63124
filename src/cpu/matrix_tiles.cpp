// Idea: sums of a block of rows stay in registers over the whole depth, so that each number of b, or of both
// where rows are multiplied with each other, is read once for several multiply-adds.
// Bound: arithmetic; 6 rows × 16 columns do 12 multiply-adds of 8 lanes for 2 reads and 6 broadcasts, 2 × 3
// dots 6 for 5 reads. The general path behind all others (conv_loops.cpp), whose share of the peak is given
// there.
#include "cpu/matrix_tiles.h"

#include "cpu/registers.h"
#include "cpu/simd.h"

#include <algorithm>
#include <cstring>

namespace descent {
namespace {

// Plain loops would do, but the compiler then keeps the sums in memory. Sums that fit the 16 registers of AVX2:
constexpr std::size_t row_block = 6;
constexpr std::size_t dot_rows = 2;
constexpr std::size_t dot_columns = 3;

template <class Register>
inline constexpr auto tile_parts = static_cast<std::size_t>(tile_width / register_width<Register>);

// Wherever it begins.
template <class Register>
[[gnu::always_inline]] inline Register read(const float* from) {
  Register value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <std::size_t rows, class Register>
DESCENT_CLONES void multiply_rows(const float* a, std::int64_t depth, const float* b, float* c,
                                  std::int64_t stride, std::int64_t width) {
  constexpr std::size_t parts = tile_parts<Register>;
  for (std::int64_t p = 0; p < width; p += tile_width) {
    Register sums[rows][parts] = {};
    for (std::int64_t k = 0; k < depth; ++k) {
      const float* const column = b + k * stride + p;
      const float* from = a + k;
      for (std::size_t r = 0; r < rows; ++r, from += depth) {
        for (std::size_t part = 0; part < parts; ++part) {
          sums[r][part] +=
              *from * read<Register>(column + static_cast<std::int64_t>(part) * register_width<Register>);
        }
      }
    }
    float* to = c + p;
    for (std::size_t r = 0; r < rows; ++r, to += stride) std::memcpy(to, sums[r], sizeof sums[r]);
  }
}

template <std::size_t rows, std::size_t columns, class Register>
DESCENT_CLONES void multiply_dots(const float* a, const float* b, std::int64_t depth, float* c,
                                  std::int64_t stride, std::int64_t width) {
  Register sums[rows][columns] = {};
  for (std::int64_t p = 0; p < width; p += register_width<Register>) {
    const float* left = a + p;
    for (std::size_t r = 0; r < rows; ++r, left += stride) {
      const float* right = b + p;
      for (std::size_t k = 0; k < columns; ++k, right += stride) {
        sums[r][k] += read<Register>(left) * read<Register>(right);
      }
    }
  }
  for (std::size_t r = 0; r < rows; ++r, c += depth) {
    for (std::size_t k = 0; k < columns; ++k) {
      float sum = 0;
      for (std::int64_t lane = 0; lane < register_width<Register>; ++lane) sum += sums[r][k][lane];
      c[k] += sum;
    }
  }
}

template <std::size_t rows>
void multiply_some(std::size_t count, const float* a, std::int64_t depth, const float* b, float* c,
                   std::int64_t stride, std::int64_t width) {
  if constexpr (rows > 0) {
    if (count == rows) {
      with_registers(
          [&]<class Register>(Register) { multiply_rows<rows, Register>(a, depth, b, c, stride, width); });
    } else {
      multiply_some<rows - 1>(count, a, depth, b, c, stride, width);
    }
  }
}

template <std::size_t rows>
void dots_of_rows(const float* a, const float* b, std::int64_t depth, float* c, std::int64_t stride,
                  std::int64_t width) {
  constexpr auto step = static_cast<std::int64_t>(dot_columns);
  with_registers([&]<class Register>(Register) {
    std::int64_t k = 0;
    for (; k + step <= depth; k += step) {
      multiply_dots<rows, dot_columns, Register>(a, b + k * stride, depth, c + k, stride, width);
    }
    for (; k < depth; ++k) multiply_dots<rows, 1, Register>(a, b + k * stride, depth, c + k, stride, width);
  });
}

}  // namespace

void multiply(const float* a, std::int64_t rows, std::int64_t depth, const float* b, float* c,
              std::int64_t stride, std::int64_t width) {
  constexpr auto step = static_cast<std::int64_t>(row_block);
  for (std::int64_t r = 0; r < rows; r += step) {
    const auto count = static_cast<std::size_t>(std::min(step, rows - r));
    multiply_some<row_block>(count, a + r * depth, depth, b, c + r * stride, stride, width);
  }
}

void multiply_transposed(const float* a, std::int64_t rows, const float* b, std::int64_t depth, float* c,
                         std::int64_t stride, std::int64_t width) {
  constexpr auto step = static_cast<std::int64_t>(dot_rows);
  std::int64_t r = 0;
  for (; r + step <= rows; r += step) {
    dots_of_rows<dot_rows>(a + r * stride, b, depth, c + r * depth, stride, width);
  }
  for (; r < rows; ++r) dots_of_rows<1>(a + r * stride, b, depth, c + r * depth, stride, width);
}

}  // namespace descent
