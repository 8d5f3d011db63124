// Passes over rows × channels, channels innermost: sums a channel, and work on each element with the numbers of
// its channel. Bound by memory.
// Idea: a thread keeps to its channels, whose numbers it holds in registers, and walks down the rows; 16 bytes
// are read at a time where the channels allow it, four channels where sums are taken.
#pragma once

#include "cuda/channel_sums.h"
#include "cuda/intrinsics.h"
#include "cuda/launch.h"
#include "cuda/norm_passes.h"
#include "cuda/pack.h"

#include <algorithm>
#include <string_view>

namespace descent {

inline constexpr int row_threads = 256;

struct SumShape {
  std::int64_t rows;
  int channels;
  int lanes;  // threads side by side, each with a pack of channels; a power of two
};

// Terms: `add` adds those of some neighbouring channels of a row to the sums; `coefficients`, a number of each
// channel that they need, or null; `Finish`, what becomes of the sums.
template <int width, class Terms>
__global__ void __launch_bounds__(row_threads)
    sum_rows(SumShape shape, Terms terms, PartialSums sums, typename Terms::Finish finish) {
  __shared__ double space[row_threads * 2 * width];
  const int lanes = shape.lanes;
  const int rows = row_threads / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int tile = static_cast<int>(blockIdx.y) * lanes * width;
  const int channel = tile + lane * width;
  double first[width] = {};
  double second[width] = {};
  if (channel < shape.channels) {
    ChannelForward by[width];
    if (terms.coefficients() != nullptr) {
#pragma unroll
      for (int i = 0; i < width; ++i) by[i] = terms.coefficients()[channel + i];
    }
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * rows;
    std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * rows + static_cast<int>(threadIdx.x) / lanes;
#pragma unroll 4
    for (; row < shape.rows; row += step) {
      terms.template add<width>(row * shape.channels + channel, channel, first, second, by);
    }
  }
  const double total = block_totals<width>(first, second, lanes, row_threads, space);
  const int end = std::min(shape.channels, tile + lanes * width);
  finish_sums(total, lanes * width, tile, end, shape.channels, static_cast<int>(blockIdx.x),
              static_cast<int>(gridDim.x), sums.counters + blockIdx.y, sums, finish, space);
}

template <int width, class Terms>
void launch_sums(const CudaContext& context, std::string_view name, const NormRows& shape, const Terms& terms,
                 const PartialSums& sums, const typename Terms::Finish& finish) {
  const int packs = (shape.channels + width - 1) / width;
  int lanes = 1;
  while (lanes < packs && lanes < 32) lanes *= 2;
  const int rows_a_block = row_threads / lanes;
  constexpr std::int64_t rows_a_thread = 4;
  const unsigned tiles = static_cast<unsigned>((packs + lanes - 1) / lanes);
  const std::int64_t parts =
      std::clamp<std::int64_t>(shape.rows / (rows_a_block * rows_a_thread), 1, most_parts);
  const Grid grid{{static_cast<unsigned>(parts), tiles, 1}, {row_threads, 1, 1}, 0};
  launch(context, name, grid, sum_rows<width, Terms>, SumShape{shape.rows, shape.channels, lanes}, terms, sums,
         finish);
}

// Work: `channels`, the numbers of some neighbouring channels; `compute`, their elements in a row.
// The number of threads that work is a multiple of the packs a row: each stays with its channels.
template <int width, class Work>
__global__ void __launch_bounds__(row_threads)
    each_element(std::int64_t packs, unsigned packs_a_row, Work work) {
  const unsigned all = gridDim.x * row_threads;
  const unsigned working = all - all % packs_a_row;
  const unsigned thread = blockIdx.x * row_threads + threadIdx.x;
  if (thread >= working || thread >= packs) return;
  const auto channels = work.template channels<width>(static_cast<int>(thread % packs_a_row) * width);
#pragma unroll 2
  for (std::int64_t pack = thread; pack < packs; pack += working)
    work.template compute<width>(pack * width, channels);
}

template <int width, class Work>
void launch_each(const CudaContext& context, std::string_view name, const NormRows& shape, const Work& work) {
  const auto packs_a_row = static_cast<unsigned>(shape.channels / width);
  const std::int64_t packs = shape.rows * packs_a_row;
  Grid grid = grid_for(context, packs, row_threads);
  const unsigned a_row = (packs_a_row + row_threads - 1) / row_threads;
  grid.blocks.x = std::max(grid.blocks.x, a_row);
  launch(context, name, grid, each_element<width, Work>, packs, packs_a_row, work);
}

template <class Element>
bool in_packs(const NormRows& shape) {
  return shape.channels % widest_pack<Element> == 0;
}

template <class Element, class Work>
void launch_each_in_packs(const CudaContext& context, std::string_view name, const NormRows& shape,
                          const Work& work) {
  if (in_packs<Element>(shape)) return launch_each<widest_pack<Element>>(context, name, shape, work);
  launch_each<1>(context, name, shape, work);
}

template <class Element, class Terms>
void launch_sums_in_packs(const CudaContext& context, std::string_view name, const NormRows& shape,
                          const Terms& terms, const PartialSums& sums, const typename Terms::Finish& finish) {
  if (shape.channels % 4 == 0) return launch_sums<4>(context, name, shape, terms, sums, finish);
  launch_sums<1>(context, name, shape, terms, sums, finish);
}

}  // namespace descent
