// Convolution by tiles: a block multiplies `cells` destination cells with `columns` destination channels.
//
// Idea: an implicit matrix product. A slice of the sum, some source channels × some taps (at most 40 deep),
// lies in shared memory, sources gathered four channels at a time and weights straight from their plain order;
// while one slice is multiplied from registers the next one is on its way. A thread keeps high × wide sums.
// Bound: 2 FLOPs a product at the device's f32 peak; source and destination are moved once each where caches
// hold the overlap of windows.
#pragma once

#include "cuda/conv_ending.h"
#include "cuda/intrinsics.h"

#include <cstdint>

namespace descent {

inline constexpr int tile_threads = 128;
inline constexpr int tile_depth = 40;

template <int cells_, int columns_, int high_, int wide_>
struct TileShape {
  static constexpr int cells = cells_;
  static constexpr int columns = columns_;
  static constexpr int high = high_;  // sums of a thread
  static constexpr int wide = wide_;
  static constexpr int pitch = columns + 4;  // of weights in shared memory: no two of 8 × 4 share a bank
  static_assert(cells / high * (columns / wide) == tile_threads);
};

// How a phase's sum falls into slices. Channels of a slice are a power of two.
struct Slices {
  int taps;          // of the phase
  int first_tap;     // of the phase in the table
  int channels_log;  // of a slice
  int taps_a_slice;

  __device__ Slices(const Gather& gather, int phase, int width)
      : taps(gather.first_tap[phase + 1] - gather.first_tap[phase]), first_tap(gather.first_tap[phase]) {
    channels_log = taps <= 1 ? 5 : taps <= 2 ? 4 : taps <= 5 ? 3 : 2;
    while (channels_log > 0 && (1 << (channels_log - 1)) >= gather.in && (1 << channels_log) > width)
      --channels_log;
    const int most = tile_depth >> channels_log;
    const int chunks = (taps + most - 1) / most;
    taps_a_slice = chunks == 0 ? 1 : (taps + chunks - 1) / chunks;
  }
};

// Where a slice begins.
struct SliceAt {
  int channel = 0;
  int tap = 0;
  int taps = 1;     // of this slice
  int inverse = 0;  // ⌈2¹⁶/taps⌉: divides numbers below 40

  __device__ void settle(const Slices& slices) {
    taps = std::min(slices.taps_a_slice, slices.taps - tap);
    inverse = (65536 + taps - 1) / taps;
  }
  // False behind the last.
  __device__ bool advance(const Slices& slices, int in) {
    channel += 1 << slices.channels_log;
    if (channel < in) return true;
    channel = 0;
    tap += slices.taps_a_slice;
    if (tap >= slices.taps) return false;
    settle(slices);
    return true;
  }
};

// A slice on its way from memory: what one thread carries of it.
template <class Element, class Shape, int width>
struct Carried {
  static constexpr int threads_a_cell = tile_threads / Shape::cells;
  static constexpr int items = (tile_depth / width + threads_a_cell - 1) / threads_a_cell;
  static constexpr int warps = tile_threads / 32;
  static constexpr int units = (tile_depth / 8 * (Shape::columns / 4) + warps - 1) / warps;

  float sources[items][width];
  float weights[units];

  // A thread's items are of one cell: `from` is its picture, at the group's first channel; null: no cell.
  __device__ void fetch_sources(const Gather& gather, const Slices& slices, const SliceAt& at,
                                const Element* from, int origin_row, int origin_column) {
    const int packs_log = slices.channels_log - (width == 4 ? 2 : 0);
    const int first = static_cast<int>(threadIdx.x) / Shape::cells;
#pragma unroll
    for (int i = 0; i < items; ++i) {
      const int item = first + i * threads_a_cell;
      const int tap = item >> packs_log;
      const int channel = at.channel + (item & ((1 << packs_log) - 1)) * width;
#pragma unroll
      for (int j = 0; j < width; ++j) sources[i][j] = 0;
      if (tap >= at.taps || channel >= gather.in || from == nullptr) continue;
      const GatherTap shift = gather.taps[slices.first_tap + at.tap + tap];
      const int row = origin_row + shift.row;
      const int column = origin_column + shift.column;
      if (row < 0 || row >= gather.rows.source || column < 0 || column >= gather.columns.source) continue;
      const int cell = row * gather.columns.source + column;
      load_floats<width>(from + static_cast<std::int64_t>(cell) * gather.source_channels() + channel,
                         sources[i]);
    }
  }

  // Eight steps of depth × four channels a warp at a time: whole sectors of plain weights.
  __device__ void fetch_weights(const Gather& gather, const Slices& slices, const SliceAt& at, int first_column,
                                const float* from) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int depth = at.taps << slices.channels_log;
#pragma unroll
    for (int i = 0; i < units; ++i) {
      const int unit = static_cast<int>(threadIdx.x) / 32 + i * warps;
      const int step = unit % (tile_depth / 8) * 8 + lane % 8;
      const int column = first_column + unit / (tile_depth / 8) * 4 + lane / 8;
      const int local = step * at.inverse >> 16;
      const int channel = at.channel + local;
      weights[i] = 0;
      const bool inside = unit < tile_depth / 8 * (Shape::columns / 4);
      if (!inside || step >= depth || channel >= gather.in || column >= gather.out) continue;
      const int tap = gather.taps[slices.first_tap + at.tap + step - local * at.taps].weight;
      weights[i] = from[column * gather.weight_out + channel * gather.weight_in + tap];
    }
  }

  // Depth runs through the taps of a channel, then through channels.
  __device__ void put(const Slices& slices, const SliceAt& at, float* source_tile, float* weight_tile) const {
    const int packs_log = slices.channels_log - (width == 4 ? 2 : 0);
    const int cell = static_cast<int>(threadIdx.x) % Shape::cells;
    const int first = static_cast<int>(threadIdx.x) / Shape::cells;
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
#pragma unroll
    for (int i = 0; i < units; ++i) {
      const int unit = static_cast<int>(threadIdx.x) / 32 + i * warps;
      const int step = unit % (tile_depth / 8) * 8 + lane % 8;
      const int column = unit / (tile_depth / 8) * 4 + lane / 8;
      if (unit < tile_depth / 8 * (Shape::columns / 4)) weight_tile[step * Shape::pitch + column] = weights[i];
    }
  }
};

template <int width>
__device__ inline void read_tile(const float* from, float (&to)[width]) {
  constexpr int step = width < 4 ? width : 4;
#pragma unroll
  for (int i = 0; i < width; i += step) {
    const Pack<float, step> pack = load_pack<step>(from + i);
#pragma unroll
    for (int j = 0; j < step; ++j) to[i + j] = pack.values[j];
  }
}

template <class Shape>
__device__ inline void multiply_slice(const float* source_tile, const float* weight_tile, int depth,
                                      float (&sums)[Shape::high][Shape::wide]) {
#pragma unroll 4
  for (int step = 0; step < depth; ++step) {
    float sources[Shape::high];
    float weights[Shape::wide];
    read_tile(source_tile + step * Shape::cells, sources);
    read_tile(weight_tile + step * Shape::pitch, weights);
#pragma unroll
    for (int i = 0; i < Shape::high; ++i) {
#pragma unroll
      for (int j = 0; j < Shape::wide; ++j) sums[i][j] += sources[i] * weights[j];
    }
  }
}

// Blocks: x tiles of cells (each block takes every gridDim.x-th), y group × tiles of channels, z phases.
template <class Element, class Shape, int width>
__global__ void __launch_bounds__(tile_threads)
    conv_tiles(const Gather gather, const ConvEnding<Element> ending, const Element* source,
               const float* weights, Element* destination) {
  constexpr int space_floats = tile_depth * (Shape::cells + Shape::pitch);
  constexpr int sum_floats = tile_threads * 2 * Shape::wide * 2;  // as doubles
  alignas(16) __shared__ float space[space_floats > sum_floats ? space_floats : sum_floats];
  __shared__ int places[Shape::cells];
  float* const source_tile = space;
  float* const weight_tile = space + tile_depth * Shape::cells;

  const int thread = static_cast<int>(threadIdx.x);
  const int phase = static_cast<int>(blockIdx.z);
  const int column_tiles = (gather.out + Shape::columns - 1) / Shape::columns;
  const int group = static_cast<int>(blockIdx.y) / column_tiles;
  const int first_column = (static_cast<int>(blockIdx.y) - group * column_tiles) * Shape::columns;
  const int high_at = thread / (Shape::columns / Shape::wide) * Shape::high;
  const int wide_at = thread % (Shape::columns / Shape::wide) * Shape::wide;
  const int column = first_column + wide_at;        // of this thread, in the group
  const int columns_left = gather.out - column;     // may be none
  const int channel = group * gather.out + column;  // among all
  const int cells = gather.cells(phase);
  const Slices slices(gather, phase, width);
  const float* const group_weights = weights + group * gather.group_weights();
  constexpr int lanes = Shape::columns / Shape::wide;
  auto* const doubles = reinterpret_cast<double*>(space);

  // The block's sums so far; they take no registers while it multiplies.
  __shared__ double totals[2 * Shape::columns];
  const bool takes_sums = ending.sums.partial != nullptr;
  if (takes_sums && thread < 2 * Shape::columns) totals[thread] = 0;

  for (int tile = static_cast<int>(blockIdx.x); tile * Shape::cells < cells;
       tile += static_cast<int>(gridDim.x)) {
    // The cell that this thread gathers.
    const int number = tile * Shape::cells + thread % Shape::cells;
    const GatherCell cell(gather, phase, number < cells ? number : 0);
    const Element* from = nullptr;
    if (number < cells) {
      const std::int64_t picture =
          static_cast<std::int64_t>(cell.picture) * gather.rows.source * gather.columns.source;
      from = source + picture * gather.source_channels() + group * gather.in;
    }
    __syncthreads();  // the tile before is done with
    if (thread < Shape::cells) places[thread] = number < cells ? cell.destination(gather) : -1;

    float sums[Shape::high][Shape::wide] = {};
    if (slices.taps > 0) {
      SliceAt at;
      at.settle(slices);
      Carried<Element, Shape, width> carried;
      carried.fetch_sources(gather, slices, at, from, cell.origin_row, cell.origin_column);
      carried.fetch_weights(gather, slices, at, first_column, group_weights);
      for (bool more = true; more;) {
        __syncthreads();
        carried.put(slices, at, source_tile, weight_tile);
        __syncthreads();
        const int depth = at.taps << slices.channels_log;
        more = at.advance(slices, gather.in);
        if (more) {
          carried.fetch_sources(gather, slices, at, from, cell.origin_row, cell.origin_column);
          carried.fetch_weights(gather, slices, at, first_column, group_weights);
        }
        multiply_slice<Shape>(source_tile + high_at, weight_tile + wide_at, depth, sums);
      }
    } else {
      __syncthreads();
    }

    typename ConvEnding<Element>::Channel channels[Shape::wide] = {};
#pragma unroll
    for (int j = 0; j < Shape::wide; ++j) {
      if (j < columns_left) channels[j] = ending.channel(channel + j);
    }
    double first[Shape::wide] = {};
    double second[Shape::wide] = {};
#pragma unroll
    for (int i = 0; i < Shape::high; ++i) {
      const int place = places[high_at + i];
      if (place < 0 || columns_left <= 0) continue;
      const std::int64_t at = static_cast<std::int64_t>(place) * gather.destination_channels() + channel;
      write_channels(ending, channels, sums[i], at, columns_left, destination);
      if (takes_sums) add_squares(sums[i], first, second);
    }
    if (!takes_sums) continue;
    __syncthreads();  // the slices are done with
    add_rows<Shape::wide>(first, second, lanes, tile_threads / lanes, doubles);
    if (thread >= lanes) continue;
#pragma unroll
    for (int j = 0; j < Shape::wide; ++j) {
      totals[wide_at + j] += first[j];
      totals[Shape::columns + wide_at + j] += second[j];
    }
  }

  if (!takes_sums) return;
  double first[Shape::wide];
  double second[Shape::wide];
#pragma unroll
  for (int j = 0; j < Shape::wide; ++j) {  // row 0 reads what it wrote; the others take no part
    first[j] = thread < lanes ? totals[wide_at + j] : 0;
    second[j] = thread < lanes ? totals[Shape::columns + wide_at + j] : 0;
  }
  const int begin = group * gather.out + first_column;
  const int end = group * gather.out + std::min(gather.out, first_column + Shape::columns);
  finish_sums<Shape::wide>(first, second, lanes, begin, end, gather.destination_channels(),
                           static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x),
                           ending.sums.counters + blockIdx.y, ending.sums, ending.statistics, doubles);
}

}  // namespace descent
