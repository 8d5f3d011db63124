#include "cpu/lanes.h"

#include <algorithm>

namespace descent {

namespace {

// One position with its taps.
struct Position {
  std::int64_t at = 0;
  std::vector<AxisTap> taps;
};

// Does `next` go on where a run of `count` positions from `run` ends?
bool continues(const AxisRun& run, const Position& next) {
  if (next.taps.size() != run.taps.size()) return false;
  for (std::size_t i = 0; i < next.taps.size(); ++i) {
    if (next.taps[i].kernel != run.taps[i].kernel) return false;
    if (next.taps[i].source != run.taps[i].source + run.count * run.step) return false;
  }
  return true;
}

// Positions of one residue, in order, joined into runs.
void join(const std::vector<Position>& positions, std::int64_t stride, std::int64_t step, std::int64_t longest,
          std::vector<AxisRun>& runs) {
  bool first = true;
  for (const Position& position : positions) {
    if (!first && runs.back().count < longest && continues(runs.back(), position)) {
      ++runs.back().count;
      continue;
    }
    runs.push_back({position.at, stride, 1, step, position.taps});
    first = false;
  }
}

}  // namespace

std::vector<AxisRun> forward_runs(const Axis& axis, std::int64_t longest) {
  std::vector<Position> positions;
  for (std::int64_t out = 0; out < axis.output; ++out) {
    Position position{out, {}};
    for (std::int64_t k = 0; k < axis.kernel; ++k) {
      const std::int64_t in = axis.source(out, k);
      if (in >= 0 && in < axis.input) position.taps.push_back({k, in});
    }
    positions.push_back(std::move(position));
  }
  std::vector<AxisRun> runs;
  join(positions, 1, axis.stride, longest, runs);
  return runs;
}

std::vector<AxisRun> backward_runs(const Axis& axis, std::int64_t longest) {
  std::vector<AxisRun> runs;
  for (std::int64_t residue = 0; residue < std::min(axis.stride, axis.input); ++residue) {
    std::vector<Position> positions;
    for (std::int64_t in = residue; in < axis.input; in += axis.stride) {
      Position position{in, {}};
      for (std::int64_t k = 0; k < axis.kernel; ++k) {
        const std::int64_t scaled = in + axis.padding - k * axis.dilation;
        if (scaled < 0 || scaled % axis.stride != 0 || scaled / axis.stride >= axis.output) continue;
        position.taps.push_back({k, scaled / axis.stride});
      }
      positions.push_back(std::move(position));
    }
    join(positions, axis.stride, 1, longest, runs);
  }
  return runs;
}

}  // namespace descent
