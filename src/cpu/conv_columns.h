// Gathers what a convolution multiplies into rows of a small matrix, one column a position.
#pragma once

#include "descent/ops.h"
#include "descent/tensor.h"

#include <cstdint>

namespace descent {

// One axis of a convolution.
struct ConvAxis {
  std::int64_t kernel, stride, padding, dilation, in, out;
};

struct ConvGeometry {
  std::int64_t pictures;
  std::int64_t in_channels, out_channels;  // of all groups
  ConvAxis rows, columns;

  ConvGeometry(const Conv& op, const Shape& input, const Shape& output);
  [[nodiscard]] std::int64_t in_cells() const { return rows.in * columns.in; }
  [[nodiscard]] std::int64_t out_cells() const { return rows.out * columns.out; }
};

// Positions [begin, begin + length), numbered through all pictures and cells.
struct Positions {
  std::int64_t begin, length;
};

// A matrix whose rows are `stride` apart.
struct Matrix {
  float* data;
  std::int64_t stride;
};

// Rows (channel, kernel row, kernel column) of channels [first, first + count) of the input, under output
// positions; zeros for padding, and past the last position up to the stride.
void gather_input(const ConvGeometry& geometry, const float* input, std::int64_t first, std::int64_t count,
                  Positions positions, Matrix to);

// Rows (channel, kernel row, kernel column) of the output's gradient, over input positions: what the weight
// of that row turned this input into.
void gather_output_gradient(const ConvGeometry& geometry, const float* gradient, std::int64_t first,
                            std::int64_t count, Positions positions, Matrix to);

// Channels [first, first + count) of an N×C×cells tensor at positions, one row each; zeros up to the stride.
void gather_channels(const float* tensor, std::int64_t channels, std::int64_t cells, std::int64_t first,
                     std::int64_t count, Positions positions, Matrix to);

// The way back; adds bias[row], if given.
void scatter_channels(Matrix from, const float* bias, float* tensor, std::int64_t channels, std::int64_t cells,
                      std::int64_t first, std::int64_t count, Positions positions);

}  // namespace descent
