// Slices of a convolution's sum, on their way through a thread's registers into shared memory: used by
// conv_tiles.h.
#pragma once

#include "cuda/gather.h"
#include "cuda/pack.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace descent {

inline constexpr int tile_threads = 128;
inline constexpr int tile_depth = 40;

template <int cells_, int columns_, int high_, int wide_, int teams_, int resident_>
struct TileShape {
  static constexpr int cells = cells_;
  static constexpr int columns = columns_;
  static constexpr int high = high_;  // sums of a thread
  static constexpr int wide = wide_;
  static constexpr int teams = teams_;        // of tile_threads threads
  static constexpr int resident = resident_;  // blocks that a multiprocessor is to hold
  static constexpr int threads = teams * tile_threads;
  static constexpr int pitch = columns + 4;  // of weights in shared memory: no two of 8 × 4 share a bank
  static_assert(cells / high * (columns / wide) == tile_threads);
  static constexpr int lanes = columns / wide;
  static_assert(lanes <= 32 && 2 * columns <= tile_threads);

  // Shared memory of a block: slices, and when those are done with, sums.
  static constexpr int slice_floats = tile_depth * (cells + pitch);
  static constexpr int space_floats =
      std::max({teams * slice_floats, (teams - 1) * cells* columns, 4 * threads, tile_threads / 8 * columns});
  static constexpr std::size_t shared_bytes = space_floats * sizeof(float) +
                                              Gather::most_taps * sizeof(GatherTap) + cells * sizeof(int) +
                                              2 * columns * sizeof(float);
};

// How a phase's sum falls into slices. Channels of a slice are a power of two.
struct Slices {
  int taps;          // of the phase
  int channels_log;  // of a slice
  int taps_a_slice;
  int count;

  __device__ Slices(const Gather& gather, int phase, int width)
      : taps(gather.first_tap[phase + 1] - gather.first_tap[phase]) {
    channels_log = taps <= 1 ? 5 : taps <= 2 ? 4 : taps <= 5 ? 3 : 2;
    while (channels_log > 0 && (1 << (channels_log - 1)) >= gather.in && (1 << channels_log) > width)
      --channels_log;
    const int most = tile_depth >> channels_log;
    const int chunks = (taps + most - 1) / most;
    taps_a_slice = chunks == 0 ? 1 : (taps + chunks - 1) / chunks;
    count = chunks * ((gather.in + (1 << channels_log) - 1) >> channels_log);
  }
};

// Where a slice begins.
struct SliceAt {
  int channel = 0;
  int tap = 0;
  int taps = 1;     // of this slice
  int inverse = 0;  // ⌈2¹⁶/taps⌉: divides numbers below 40
  int number = 0;

  // Goes on by so many slices; false behind the last.
  __device__ bool advance(const Slices& slices, int in, int by) {
    number += by;
    if (number >= slices.count) return false;
    for (int i = 0; i < by; ++i) {
      channel += 1 << slices.channels_log;
      if (channel < in) continue;
      channel = 0;
      tap += slices.taps_a_slice;
    }
    taps = std::min(slices.taps_a_slice, slices.taps - tap);
    inverse = (65536 + taps - 1) / taps;
    return true;
  }
};

// A slice on its way from memory: what one thread carries of it.
template <class Element, class Shape, int width>
struct Carried {
  static constexpr int threads_a_cell = tile_threads / Shape::cells;
  static constexpr int items = (tile_depth / width + threads_a_cell - 1) / threads_a_cell;
  // Warps stand side by side in groups of four columns, and what is left of them one above the other in groups
  // of eight steps of depth.
  static constexpr int warps = tile_threads / 32;
  static constexpr int warps_wide = Shape::columns / 4 < warps ? Shape::columns / 4 : warps;
  static constexpr int warps_high = warps / warps_wide;
  static constexpr int turns_wide = Shape::columns / 4 / warps_wide;
  static constexpr int turns_high = (tile_depth / 8 + warps_high - 1) / warps_high;

  float sources[items][width];
  float weights[turns_high][turns_wide];

  // A thread's items are of one cell: `from` is its picture, at the group's first channel; null: no cell.
  __device__ void fetch_sources(const Gather& gather, const GatherTap* taps, const Slices& slices,
                                const SliceAt& at, const Element* from, int origin_row, int origin_column) {
    const int packs_log = slices.channels_log - (width == 4 ? 2 : 0);
    const int first = static_cast<int>(threadIdx.x) % tile_threads / Shape::cells;
#pragma unroll
    for (int i = 0; i < items; ++i) {
      const int item = first + i * threads_a_cell;
      const int tap = item >> packs_log;
      const int channel = at.channel + (item & ((1 << packs_log) - 1)) * width;
#pragma unroll
      for (int j = 0; j < width; ++j) sources[i][j] = 0;
      if (tap >= at.taps || channel >= gather.in || from == nullptr) continue;
      const GatherTap shift = taps[at.tap + tap];
      const int row = origin_row + shift.row;
      const int column = origin_column + shift.column;
      if (row < 0 || row >= gather.rows.source || column < 0 || column >= gather.columns.source) continue;
      const int cell = row * gather.columns.source + column;
      load_floats<width>(from + static_cast<std::int64_t>(cell) * gather.source_channels() + channel,
                         sources[i]);
    }
  }

  // Eight steps of depth × four channels a warp at a time: whole sectors of plain weights.
  __device__ void fetch_weights(const Gather& gather, const GatherTap* taps, const Slices& slices,
                                const SliceAt& at, int first_column, const float* from) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) % tile_threads / 32;
    const int depth = at.taps << slices.channels_log;
    const int column = first_column + warp % warps_wide * 4 + lane / 8;
#pragma unroll
    for (int i = 0; i < turns_high; ++i) {
      const int step = (warp / warps_wide + i * warps_high) * 8 + lane % 8;
      const int local = step * at.inverse >> 16;
      const int channel = at.channel + local;
      const bool inside = step < depth && channel < gather.in;
      const int tap = inside ? taps[at.tap + step - local * at.taps].weight : 0;
      const float* const row = from + channel * gather.weight_in + tap;
#pragma unroll
      for (int j = 0; j < turns_wide; ++j) {
        const int out = column + j * warps_wide * 4;
        weights[i][j] = inside && out < gather.out ? row[out * gather.weight_out] : 0;
      }
    }
  }

  // Depth runs through the taps of a channel, then through channels.
  __device__ void put(const Slices& slices, const SliceAt& at, float* source_tile, float* weight_tile) const {
    const int packs_log = slices.channels_log - (width == 4 ? 2 : 0);
    const int cell = static_cast<int>(threadIdx.x) % tile_threads % Shape::cells;
    const int first = static_cast<int>(threadIdx.x) % tile_threads / Shape::cells;
#pragma unroll
    for (int i = 0; i < items; ++i) {
      const int item = first + i * threads_a_cell;
      const int tap = item >> packs_log;
      const int channel = (item & ((1 << packs_log) - 1)) * width;
      if (tap >= at.taps) continue;
#pragma unroll
      for (int j = 0; j < width; ++j)
        source_tile[((channel + j) * at.taps + tap) * Shape::cells + cell] = sources[i][j];
    }
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) % tile_threads / 32;
    const int column = warp % warps_wide * 4 + lane / 8;
#pragma unroll
    for (int i = 0; i < turns_high; ++i) {
      const int step = (warp / warps_wide + i * warps_high) * 8 + lane % 8;
      if (step >= tile_depth) continue;
#pragma unroll
      for (int j = 0; j < turns_wide; ++j)
        weight_tile[step * Shape::pitch + column + j * warps_wide * 4] = weights[i][j];
    }
  }
};

}  // namespace descent
