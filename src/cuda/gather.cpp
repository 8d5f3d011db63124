#include "cuda/gather.h"

#include "descent/error.h"

#include <algorithm>
#include <limits>

namespace descent {

namespace {

int as_int(std::int64_t value) {
  if (value > std::numeric_limits<int>::max()) {
    throw Error("a convolution of more than 2^30 cells does not fit the CUDA device; take a smaller batch");
  }
  return static_cast<int>(value);
}

std::int64_t side(const Shape& shape, std::size_t axis) {
  return axis < shape.rank() ? shape[axis] : 1;
}

GatherAxis axis_of(std::int64_t input, std::int64_t output, std::int64_t kernel, std::int64_t stride,
                   std::int64_t padding, std::int64_t dilation, bool backward) {
  return {as_int(backward ? input : output),
          as_int(backward ? output : input),
          as_int(kernel),
          as_int(stride),
          as_int(padding),
          as_int(dilation),
          backward};
}

void list_phases(Gather& gather) {
  const GatherAxis& rows = gather.rows;
  const GatherAxis& columns = gather.columns;
  if (gather.phases() > Gather::most_phases) return;
  for (int phase = 0; phase < gather.phases(); ++phase) {
    const int row_phase = phase / columns.phases();
    const int column_phase = phase % columns.phases();
    const int width = columns.cells(column_phase);
    const int cells = rows.cells(row_phase) * width;
    gather.phase_table[phase] = {
        cells, width, Divider(std::max(cells, 1)), Divider(std::max(width, 1)), row_phase, column_phase};
  }
}

// After the phases.
void list_taps(Gather& gather) {
  const GatherAxis& rows = gather.rows;
  const GatherAxis& columns = gather.columns;
  if (gather.kernel() > Gather::most_taps || gather.phases() > Gather::most_phases) return;
  int count = 0;
  for (int phase = 0; phase < gather.phases(); ++phase) {
    const GatherPhase& of = gather.phase_table[phase];
    gather.first_tap[phase] = static_cast<short>(count);
    for (int row = 0; row < rows.kernel; ++row) {
      for (int column = 0; column < columns.kernel; ++column) {
        if (!rows.has(of.row, row) || !columns.has(of.column, column)) continue;
        gather.taps[count++] = {static_cast<short>(rows.shift(of.row, row)),
                                static_cast<short>(columns.shift(of.column, column)),
                                row * columns.kernel + column};
      }
    }
  }
  gather.first_tap[gather.phases()] = static_cast<short>(count);
  gather.has_table = true;
}

Gather make_gather(const Conv& op, const Shape& input, const Shape& output, bool backward) {
  Gather gather;
  gather.rows = axis_of(side(input, 2), side(output, 2), op.kernel.height, op.stride.height, op.padding.height,
                        op.dilation.height, backward);
  gather.columns = axis_of(side(input, 3), side(output, 3), op.kernel.width, op.stride.width, op.padding.width,
                           op.dilation.width, backward);
  gather.pictures = as_int(input[0]);
  gather.groups = as_int(op.groups);
  const int inputs = as_int(input[1] / op.groups);
  const int outputs = as_int(output[1] / op.groups);
  const int taps = gather.kernel();
  gather.in = backward ? outputs : inputs;
  gather.out = backward ? inputs : outputs;
  gather.weight_in = backward ? inputs * taps : taps;
  gather.weight_out = backward ? taps : inputs * taps;
  const std::int64_t cells = static_cast<std::int64_t>(gather.pictures) *
                             std::max(side(input, 2) * side(input, 3), side(output, 2) * side(output, 3));
  (void)as_int(2 * cells);  // blocks count on by as many threads as there are at most
  (void)as_int(static_cast<std::int64_t>(inputs) * taps * output[1]);
  list_phases(gather);
  list_taps(gather);
  return gather;
}

}  // namespace

Gather forward_gather(const Conv& op, const Shape& input, const Shape& output) {
  return make_gather(op, input, output, false);
}

Gather backward_gather(const Conv& op, const Shape& input, const Shape& output) {
  return make_gather(op, input, output, true);
}

}  // namespace descent
