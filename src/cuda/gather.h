// Convolution and its input's gradient as the same product. Every destination cell is a sum over taps and
// source channels: forward the destination is the output; backward it is the input's gradient, gathered from
// the output's, so that no two threads write the same cell. With a stride, backward falls into phases: cells of
// the input at the same place between two strides see the same taps, and no others.
#pragma once

#include "cuda/divider.h"
#include "descent/ops.h"
#include "descent/tensor.h"

#include <array>
#include <cstdint>

namespace descent {

// One axis of the picture.
struct GatherAxis {
  int destination = 1;
  int source = 1;
  int kernel = 1;
  int stride = 1;
  int padding = 0;
  int dilation = 1;
  bool backward = false;

  [[nodiscard]] constexpr int phases() const { return backward ? stride : 1; }
  // Destination cells of a phase; cell j of them lies at place(phase, j).
  [[nodiscard]] constexpr int cells(int phase) const {
    return backward ? (destination - phase + stride - 1) / stride : destination;
  }
  [[nodiscard]] constexpr int place(int phase, int cell) const {
    return backward ? phase + cell * stride : cell;
  }
  // The source cell under a tap is origin + shift.
  [[nodiscard]] constexpr int origin(int cell) const { return backward ? cell : cell * stride - padding; }
  [[nodiscard]] constexpr bool has(int phase, int tap) const {
    return !backward || (phase + padding - tap * dilation) % stride == 0;
  }
  [[nodiscard]] constexpr int shift(int phase, int tap) const {
    return backward ? (phase + padding - tap * dilation) / stride : tap * dilation;
  }
};

struct GatherTap {
  short row = 0;  // shifts
  short column = 0;
  int weight = 0;  // its place in a kernel
};

// The cells of a phase in one picture.
struct GatherPhase {
  int cells = 0;
  int width = 0;  // of their rows
  Divider by_cells;
  Divider by_width;
  int row = 0;  // the phase along each axis
  int column = 0;
};

struct Gather {
  static constexpr int most_taps = 128;
  static constexpr int most_phases = 16;

  GatherAxis rows;
  GatherAxis columns;
  int pictures = 1;
  int groups = 1;
  int in = 1;   // source channels a group
  int out = 1;  // destination channels a group
  // From one source (destination) channel to the next in the weights.
  int weight_in = 1;
  int weight_out = 1;

  GatherPhase phase_table[most_phases];  // if they fit; forward they do
  // The taps, phase by phase, if they fit too.
  bool has_table = false;
  GatherTap taps[most_taps] = {};
  short first_tap[most_phases + 1] = {};

  [[nodiscard]] constexpr int kernel() const { return rows.kernel * columns.kernel; }
  [[nodiscard]] constexpr int phases() const { return rows.phases() * columns.phases(); }
  [[nodiscard]] constexpr int cells(int phase) const {  // of all pictures
    if (has_table) return pictures * phase_table[phase].cells;
    return pictures * rows.cells(phase / columns.phases()) * columns.cells(phase % columns.phases());
  }
  [[nodiscard]] constexpr int source_channels() const { return groups * in; }
  [[nodiscard]] constexpr int destination_channels() const { return groups * out; }
  [[nodiscard]] constexpr int group_weights() const { return in * out * kernel(); }
};

// Where one destination cell of a phase lies, and where its window begins.
struct GatherCell {
  int picture = 0;
  int row = 0;  // of the destination
  int column = 0;
  int origin_row = 0;
  int origin_column = 0;

  // Where the table holds the phases.
  constexpr GatherCell(const Gather& of, int phase, int number) {
    const GatherPhase& found = of.phase_table[phase];
    picture = found.by_cells.quotient(number);
    const int rest = number - picture * found.cells;
    const int line = found.by_width.quotient(rest);
    settle(of, found.row, line, found.column, rest - line * found.width);
  }
  // Anywhere, with a division for each of its numbers.
  static constexpr GatherCell of_any(const Gather& of, int phase, int number) {
    const int row_phase = phase / of.columns.phases();
    const int column_phase = phase % of.columns.phases();
    const int width = of.columns.cells(column_phase);
    const int height = of.rows.cells(row_phase);
    const int line = number / width;
    GatherCell cell;
    cell.picture = line / height;
    cell.settle(of, row_phase, line - cell.picture * height, column_phase, number - line * width);
    return cell;
  }
  // The number of the destination cell among all of its tensor.
  [[nodiscard]] constexpr int destination(const Gather& of) const {
    return (picture * of.rows.destination + row) * of.columns.destination + column;
  }

 private:
  constexpr GatherCell() = default;
  constexpr void settle(const Gather& of, int row_phase, int cell_row, int column_phase, int cell_column) {
    row = of.rows.place(row_phase, cell_row);
    column = of.columns.place(column_phase, cell_column);
    origin_row = of.rows.origin(cell_row);
    origin_column = of.columns.origin(cell_column);
  }
};

// For a convolution from `input` to `output` (N×C×H×W), or a linear layer as one of 1×1 on N×C.
[[nodiscard]] Gather forward_gather(const Conv& op, const Shape& input, const Shape& output);
[[nodiscard]] Gather backward_gather(const Conv& op, const Shape& input, const Shape& output);

}  // namespace descent
