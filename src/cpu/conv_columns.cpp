#include "cpu/conv_columns.h"

#include <algorithm>

namespace descent {
namespace {

ConvAxis axis(std::int64_t kernel, std::int64_t stride, std::int64_t padding, std::int64_t dilation,
              std::int64_t in, std::int64_t out) {
  return {kernel, stride, padding, dilation, in, out};
}

std::int64_t divide_up(std::int64_t a, std::int64_t b) {  // b > 0, any a
  return a >= 0 ? (a + b - 1) / b : -(-a / b);
}

// A stretch of positions in one row of one picture.
struct Stretch {
  std::int64_t picture, row, column, length, offset;  // offset: from the first position
};

template <class Function>
void for_stretches(Positions positions, std::int64_t rows, std::int64_t columns, Function&& f) {
  for (std::int64_t done = 0; done < positions.length;) {
    const std::int64_t position = positions.begin + done;
    const std::int64_t column = position % columns;
    const std::int64_t row = position / columns % rows;
    const std::int64_t length = std::min(columns - column, positions.length - done);
    f(Stretch{position / columns / rows, row, column, length, done});
    done += length;
  }
}

// Of columns [stretch.column, + length): those where input column·stride' lies inside, the rest zeros.
// to[w] = from[w·stride + shift] wherever that index lies in [0, size).
void copy_strided(const float* from, std::int64_t size, std::int64_t stride, std::int64_t shift,
                  std::int64_t column, std::int64_t length, float* to) {
  const std::int64_t first = std::clamp(divide_up(-shift, stride), column, column + length);
  const std::int64_t last = std::clamp(divide_up(size - shift, stride), first, column + length);
  std::fill(to, to + (first - column), 0.0F);
  float* const inside = to + (first - column);
  const float* const source = from + first * stride + shift;
  if (stride == 1) {
    std::copy_n(source, last - first, inside);
  } else {
    for (std::int64_t i = 0; i < last - first; ++i) inside[i] = source[i * stride];
  }
  std::fill(inside + (last - first), to + length, 0.0F);
}

// to[i·stride + shift] = from[i] wherever that index lies in [column, column + length); the rest zeros.
void spread_strided(const float* from, std::int64_t size, std::int64_t stride, std::int64_t shift,
                    std::int64_t column, std::int64_t length, float* to) {
  if (stride == 1) {
    copy_strided(from, size, 1, -shift, column, length, to);
    return;
  }
  std::fill_n(to, length, 0.0F);
  const std::int64_t first = std::clamp(divide_up(column - shift, stride), std::int64_t{0}, size);
  const std::int64_t last = std::clamp(divide_up(column + length - shift, stride), first, size);
  for (std::int64_t i = first; i < last; ++i) to[i * stride + shift - column] = from[i];
}

// Calls f(channel, kernel row, kernel column, row of the matrix), and fills the rows' ends with zeros.
template <class Function>
void for_rows(const ConvGeometry& geometry, std::int64_t first, std::int64_t count, std::int64_t length,
              Matrix to, Function&& f) {
  float* row = to.data;
  for (std::int64_t channel = first; channel < first + count; ++channel) {
    for (std::int64_t kh = 0; kh < geometry.rows.kernel; ++kh) {
      for (std::int64_t kw = 0; kw < geometry.columns.kernel; ++kw, row += to.stride) {
        f(channel, kh, kw, row);
        std::fill(row + length, row + to.stride, 0.0F);
      }
    }
  }
}

}  // namespace

ConvGeometry::ConvGeometry(const Conv& op, const Shape& input, const Shape& output)
    : pictures(input[0]),
      in_channels(input[1]),
      out_channels(output[1]),
      rows(
          axis(op.kernel.height, op.stride.height, op.padding.height, op.dilation.height, input[2], output[2])),
      columns(
          axis(op.kernel.width, op.stride.width, op.padding.width, op.dilation.width, input[3], output[3])) {}

void gather_input(const ConvGeometry& geometry, const float* input, std::int64_t first, std::int64_t count,
                  Positions positions, Matrix to) {
  const ConvAxis& rows = geometry.rows;
  const ConvAxis& columns = geometry.columns;
  for_rows(geometry, first, count, positions.length, to,
           [&](std::int64_t channel, std::int64_t kh, std::int64_t kw, float* row) {
             for_stretches(positions, rows.out, columns.out, [&](const Stretch& at) {
               const std::int64_t h = at.row * rows.stride + kh * rows.dilation - rows.padding;
               if (h < 0 || h >= rows.in) {
                 std::fill_n(row + at.offset, at.length, 0.0F);
                 return;
               }
               const float* const from =
                   input + ((at.picture * geometry.in_channels + channel) * rows.in + h) * columns.in;
               copy_strided(from, columns.in, columns.stride, kw * columns.dilation - columns.padding,
                            at.column, at.length, row + at.offset);
             });
           });
}

void gather_output_gradient(const ConvGeometry& geometry, const float* gradient, std::int64_t first,
                            std::int64_t count, Positions positions, Matrix to) {
  const ConvAxis& rows = geometry.rows;
  const ConvAxis& columns = geometry.columns;
  for_rows(geometry, first, count, positions.length, to,
           [&](std::int64_t channel, std::int64_t kh, std::int64_t kw, float* row) {
             for_stretches(positions, rows.in, columns.in, [&](const Stretch& at) {
               // The output row oh reads this input row through kh where oh·stride + shift = row.
               const std::int64_t reach = at.row - (kh * rows.dilation - rows.padding);
               const std::int64_t oh = reach / rows.stride;
               if (reach < 0 || reach % rows.stride != 0 || oh >= rows.out) {
                 std::fill_n(row + at.offset, at.length, 0.0F);
                 return;
               }
               const float* const from =
                   gradient + ((at.picture * geometry.out_channels + channel) * rows.out + oh) * columns.out;
               spread_strided(from, columns.out, columns.stride, kw * columns.dilation - columns.padding,
                              at.column, at.length, row + at.offset);
             });
           });
}

void gather_channels(const float* tensor, std::int64_t channels, std::int64_t cells, std::int64_t first,
                     std::int64_t count, Positions positions, Matrix to) {
  for (std::int64_t r = 0; r < count; ++r) {
    float* const row = to.data + r * to.stride;
    for_stretches(positions, 1, cells, [&](const Stretch& at) {
      const float* const from = tensor + (at.picture * channels + first + r) * cells + at.column;
      std::copy_n(from, at.length, row + at.offset);
    });
    std::fill(row + positions.length, row + to.stride, 0.0F);
  }
}

void scatter_channels(Matrix from, const float* bias, float* tensor, std::int64_t channels, std::int64_t cells,
                      std::int64_t first, std::int64_t count, Positions positions) {
  for (std::int64_t r = 0; r < count; ++r) {
    const float* const row = from.data + r * from.stride;
    const float shift = bias == nullptr ? 0.0F : bias[r];
    for_stretches(positions, 1, cells, [&](const Stretch& at) {
      float* const to = tensor + (at.picture * channels + first + r) * cells + at.column;
      for (std::int64_t i = 0; i < at.length; ++i) to[i] = row[at.offset + i] + shift;
    });
  }
}

}  // namespace descent
