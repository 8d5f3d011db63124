// Convolution by tiles: a block multiplies `cells` destination cells with `columns` destination channels.
//
// Idea: an implicit matrix product. A slice of the sum, some source channels × some taps (at most 40 deep),
// lies in shared memory, sources gathered four channels at a time and weights straight from their plain order;
// while one slice is multiplied from registers the next one is on its way. A thread keeps high × wide sums.
// Teams of threads take slices in turn and add up at the end, so that deep sums of few cells keep many warps
// busy, too. Bound: 2 FLOPs a product at the device's f32 peak; source and destination are moved once each
// where caches hold the overlap of windows.
#pragma once

#include "cuda/conv_ending.h"
#include "cuda/conv_tile_slices.h"
#include "cuda/intrinsics.h"

#include <algorithm>
#include <cstdint>

namespace descent {

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

// Adds up the teams' sums, one after the other, in the first one.
template <class Shape>
__device__ inline void add_teams(float* space, int team, float (&sums)[Shape::high][Shape::wide]) {
  if constexpr (Shape::teams > 1) {
    constexpr int each = Shape::high * Shape::wide;
    const int place = static_cast<int>(threadIdx.x) % tile_threads;
#pragma unroll
    for (int i = 0; i < each; ++i) {
      if (team > 0)
        space[((team - 1) * each + i) * tile_threads + place] = sums[i / Shape::wide][i % Shape::wide];
    }
    __syncthreads();
    if (team > 0) return;
#pragma unroll
    for (int other = 0; other < Shape::teams - 1; ++other) {
#pragma unroll
      for (int i = 0; i < each; ++i)
        sums[i / Shape::wide][i % Shape::wide] += space[(other * each + i) * tile_threads + place];
    }
  }
}

// Blocks: x tiles of cells (each block takes every gridDim.x-th), y group × tiles of channels, z phases.
template <class Element, class Shape, int width>
__global__ void __launch_bounds__(Shape::threads, Shape::resident)
    conv_tiles(const Gather gather, const ConvEnding<Element> ending, const Element* source,
               const float* weights, Element* destination) {
  float* const space = dynamic_shared<float>();
  auto* const taps = reinterpret_cast<GatherTap*>(space + Shape::space_floats);
  int* const places = reinterpret_cast<int*>(taps + Gather::most_taps);
  float* const slopes = reinterpret_cast<float*>(places + Shape::cells);
  float* const shifts = slopes + Shape::columns;

  const int thread = static_cast<int>(threadIdx.x) % tile_threads;
  const int team = static_cast<int>(threadIdx.x) / tile_threads;
  const int phase = static_cast<int>(gridDim.z - 1 - blockIdx.z);  // the last has the most taps
  const int column_tiles = (gather.out + Shape::columns - 1) / Shape::columns;
  const int group = static_cast<int>(blockIdx.y) / column_tiles;
  const int first_column = (static_cast<int>(blockIdx.y) - group * column_tiles) * Shape::columns;
  const int high_at = thread / Shape::lanes * Shape::high;
  const int wide_at = thread % Shape::lanes * Shape::wide;
  const int columns_left = gather.out - first_column - wide_at;     // may be none
  const int channel = group * gather.out + first_column + wide_at;  // of this thread, among all
  const int cells = gather.cells(phase);
  const Slices slices(gather, phase, width);
  const float* const group_weights = weights + group * gather.group_weights();
  float* const source_tile = space + team * Shape::slice_floats;
  float* const weight_tile = source_tile + tile_depth * Shape::cells;
  auto* const doubles = reinterpret_cast<double*>(space);

  if (team == Shape::teams - 1) {
    for (int i = thread; i < slices.taps; i += tile_threads) taps[i] = gather.taps[gather.first_tap[phase] + i];
  }
  if (team == 0 && thread < Shape::columns && first_column + thread < gather.out) {
    const auto numbers = ending.channel(group * gather.out + first_column + thread);
    slopes[thread] = numbers.slope;
    shifts[thread] = numbers.shift;
  }
  const bool takes_sums = ending.sums.partial != nullptr;
  double total = 0;  // of the block's tiles: a thread keeps one

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
    if (team == 0 && thread < Shape::cells) places[thread] = number < cells ? cell.destination(gather) : -1;

    float sums[Shape::high][Shape::wide] = {};
    SliceAt at;
    Carried<Element, Shape, width> carried{};
    const auto fetch = [&] {
      carried.fetch_sources(gather, taps, slices, at, from, cell.origin_row, cell.origin_column);
      carried.fetch_weights(gather, taps, slices, at, first_column, group_weights);
    };
    bool more = at.advance(slices, gather.in, team);
    if (more) fetch();
    for (int first = 0; first < slices.count; first += Shape::teams) {
      __syncthreads();
      if (more) carried.put(slices, at, source_tile, weight_tile);
      __syncthreads();
      const int depth = more ? at.taps << slices.channels_log : 0;
      more = more && at.advance(slices, gather.in, Shape::teams);
      if (more) fetch();
      multiply_slice<Shape>(source_tile + high_at, weight_tile + wide_at, depth, sums);
    }
    __syncthreads();  // the slices are done with
    add_teams<Shape>(space, team, sums);

    double first[Shape::wide] = {};
    double second[Shape::wide] = {};
    if (team == 0 && columns_left > 0) {
      typename ConvEnding<Element>::Channel channels[Shape::wide];
#pragma unroll
      for (int j = 0; j < Shape::wide; ++j) channels[j] = {slopes[wide_at + j], shifts[wide_at + j]};
#pragma unroll
      for (int i = 0; i < Shape::high; ++i) {
        const int place = places[high_at + i];
        if (place < 0) continue;
        const std::int64_t to = static_cast<std::int64_t>(place) * gather.destination_channels() + channel;
        write_channels(ending, channels, sums[i], to, columns_left, destination);
        if (takes_sums) add_squares(sums[i], first, second);
      }
    }
    if (!takes_sums) continue;
    __syncthreads();  // what was in the space is done with
    total += block_totals<Shape::wide>(first, second, Shape::lanes, tile_threads, doubles);
  }

  if (!takes_sums) return;
  const int begin = group * gather.out + first_column;
  const int end = group * gather.out + std::min(gather.out, first_column + Shape::columns);
  finish_sums(total, Shape::columns, begin, end, gather.destination_channels(), static_cast<int>(blockIdx.x),
              static_cast<int>(gridDim.x), ending.sums.counters + blockIdx.y, ending.sums, ending.statistics,
              doubles);
}

}  // namespace descent
