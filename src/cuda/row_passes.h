// Passes over rows × channels, channels innermost: sums a channel, and work on each element with the numbers of
// its channel. Bound by memory.
// Idea: a thread keeps to its channels, whose numbers it holds in registers, and walks down the rows; 16 bytes
// are read at a time where the channels allow it, four channels where sums are taken. It reads some rows before
// it works on the first, and writes: behind a store the compiler would start no read.
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

// use(row, load(row)) for every step-th row from `begin` on; `batch` rows are loaded before the first of them
// is used, as long as there are so many.
template <int batch, class Load, class Use>
__device__ inline void in_batches(std::int64_t begin, std::int64_t step, std::int64_t end, const Load& load,
                                  const Use& use) {
  for (; begin + (batch - 1) * step < end; begin += batch * step) {
    decltype(load(begin)) loads[batch];
#pragma unroll
    for (int i = 0; i < batch; ++i) loads[i] = load(begin + i * step);
#pragma unroll
    for (int i = 0; i < batch; ++i) use(begin + i * step, loads[i]);
  }
#pragma unroll 1
  for (; begin < end; begin += step) use(begin, load(begin));
}

struct SumShape {
  std::int64_t rows;
  int channels;
  int lanes;  // threads side by side, each with a pack of channels; a power of two
};

// Terms: `load`, what they need of some neighbouring channels of a row; `add` adds them to the sums;
// `coefficients`, a number of each channel that they need, or null; `Finish`, what becomes of the sums.
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
    constexpr int rows_at_once = 4;
    const std::int64_t row =
        static_cast<std::int64_t>(blockIdx.x) * rows + static_cast<int>(threadIdx.x) / lanes;
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * rows;
    const auto place = [&](std::int64_t number) { return number * shape.channels + channel; };
    in_batches<rows_at_once>(
        row, step, shape.rows, [&](std::int64_t number) { return terms.template load<width>(place(number)); },
        [&](std::int64_t number, const auto& loaded) { terms.add(place(number), loaded, first, second, by); });
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

// Work: `channels`, the numbers of some neighbouring channels; `load`, their elements in a row; `compute`, what
// becomes of them.
// The number of threads that work is a multiple of the packs a row: each stays with its channels.
template <int width, class Work>
__global__ void __launch_bounds__(row_threads)
    each_element(std::int64_t packs, unsigned packs_a_row, Work work) {
  const unsigned all = gridDim.x * row_threads;
  const unsigned working = all - all % packs_a_row;
  const unsigned thread = blockIdx.x * row_threads + threadIdx.x;
  if (thread >= working || thread >= packs) return;
  const auto channels = work.template channels<width>(static_cast<int>(thread % packs_a_row) * width);
  constexpr int packs_at_once = 2;
  in_batches<packs_at_once>(
      thread, working, packs, [&](std::int64_t pack) { return work.template load<width>(pack * width); },
      [&](std::int64_t pack, const auto& loaded) { work.compute(pack * width, loaded, channels); });
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
