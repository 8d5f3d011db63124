// Convolution without tiles. Two kernels:
//
// * few input channels, as in a network's first layer: a thread computes eight channels of a cell, whose window
//   it reads through the first cache, several products at once; weights and the places of products lie in
//   shared memory. Bound by memory: it writes 4 bytes an output (2 in bf16) and computes two FLOPs a product, 9
//   products for a 3×3 window over grey pictures.
// * anything else: a thread computes one channel of a cell, neighbours neighbouring channels. Depthwise
//   convolutions, which read 2 numbers a product, are bound by the first cache here.
#include "cuda/conv_ending.h"
#include "cuda/conv_launches.h"
#include "cuda/intrinsics.h"
#include "cuda/launch.h"

#include <algorithm>

namespace descent {

namespace {

constexpr int threads = 256;
constexpr int wide = 8;

// Where a product's factor lies from the origin of its cell's window.
struct alignas(16) ProductPlace {
  int row, column;
  int elements;  // from element to element
};
constexpr ProductPlace nowhere{1 << 30, 0, 0};  // in no picture: fills up the last batch

__device__ bool is_within(int place, int count) {
  return static_cast<unsigned>(place) < static_cast<unsigned>(count);
}

// Blocks: x cells, y eight channels, z phases. Groups: one.
template <class Element>
__global__ void __launch_bounds__(threads, 3)
    conv_few(const Gather gather, const ConvEnding<Element> ending, const Element* source, const float* weights,
             Element* destination) {
  constexpr int batch = 9;  // loads on their way at once
  constexpr int most_products = (most_few_products + batch - 1) / batch * batch;
  constexpr int space_doubles = std::max(2 * threads, threads / 32 * 2 * wide);
  alignas(16) __shared__ float weight_tile[most_products * wide];
  __shared__ ProductPlace places[most_products];
  __shared__ float slopes[wide];
  __shared__ float shifts[wide];
  __shared__ double space[space_doubles];
  const int thread = static_cast<int>(threadIdx.x);
  const int phase = static_cast<int>(blockIdx.z);
  const int channel = static_cast<int>(blockIdx.y) * wide;
  const int left = gather.out - channel;
  const int first_tap = gather.first_tap[phase];
  const int products = (gather.first_tap[phase + 1] - first_tap) * gather.in;
  const int batches = (products + batch - 1) / batch;
  for (int i = thread; i < batches * batch * wide; i += threads) {
    const int product = i / wide;
    ProductPlace place = nowhere;
    float weight = 0;
    if (product < products) {
      const int tap = product / gather.in;
      const int in = product - tap * gather.in;
      const int out = channel + i % wide;
      const GatherTap shift = gather.taps[first_tap + tap];
      place = {shift.row, shift.column, (shift.row * gather.columns.source + shift.column) * gather.in + in};
      if (out < gather.out) weight = weights[out * gather.weight_out + in * gather.weight_in + shift.weight];
    }
    weight_tile[i] = weight;
    if (i % wide == 0) places[product] = place;
  }
  if (thread >= threads - wide && thread - (threads - wide) < left) {
    const int i = thread - (threads - wide);
    const auto numbers = ending.channel(channel + i);
    slopes[i] = numbers.slope;
    shifts[i] = numbers.shift;
  }
  __syncthreads();

  double first[wide] = {};
  double second[wide] = {};
  const int cells = gather.cells(phase);
  for (int number = static_cast<int>(blockIdx.x) * threads + thread; number < cells;
       number += static_cast<int>(gridDim.x) * threads) {
    const GatherCell cell(gather, phase, number);
    const Element* const picture = source + static_cast<std::int64_t>(cell.picture) * gather.rows.source *
                                                gather.columns.source * gather.in;
    const int origin = (cell.origin_row * gather.columns.source + cell.origin_column) * gather.in;
    float sums[wide] = {};
    for (int begin = 0; begin < batches * batch; begin += batch) {
      float values[batch];
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        const ProductPlace place = places[begin + i];
        const bool row_exists = is_within(cell.origin_row + place.row, gather.rows.source);
        const bool exists = row_exists & is_within(cell.origin_column + place.column, gather.columns.source);
        const Element value = picture[exists ? origin + place.elements : 0];  // read in any case: no branch
        values[i] = exists ? to_f32(value) : 0.0F;
      }
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        const float* const by = weight_tile + (begin + i) * wide;
        float some[2][4];
        load_floats<4>(by, some[0]);
        load_floats<4>(by + 4, some[1]);
#pragma unroll
        for (int j = 0; j < wide; ++j) sums[j] += values[i] * some[j / 4][j % 4];
      }
    }
    typename ConvEnding<Element>::Channel channels[wide];
#pragma unroll
    for (int i = 0; i < wide; ++i) channels[i] = {slopes[i], shifts[i]};
    const std::int64_t at = static_cast<std::int64_t>(cell.destination(gather)) * gather.out + channel;
    write_channels(ending, channels, sums, at, left, destination);
    if (ending.sums.partial != nullptr) add_squares(sums, first, second);
  }
  if (ending.sums.partial == nullptr) return;
  const double total = block_totals<wide>(first, second, 1, threads, space);
  finish_sums(total, wide, channel, std::min(gather.out, channel + wide), gather.out,
              static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x), ending.sums.counters + blockIdx.y,
              ending.sums, ending.statistics, space);
}

// Blocks: x cells × channels, y phases.
template <class Element>
__global__ void __launch_bounds__(threads)
    conv_each(const Gather gather, const ConvEnding<Element> ending, const Element* source,
              const float* weights, Element* destination) {
  const int phase = static_cast<int>(blockIdx.y);
  const int row_phase = phase / gather.columns.phases();
  const int column_phase = phase % gather.columns.phases();
  const int width = gather.destination_channels();
  const std::int64_t all = static_cast<std::int64_t>(gather.cells(phase)) * width;
  for (std::int64_t number = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x; number < all;
       number += static_cast<std::int64_t>(gridDim.x) * threads) {
    const GatherCell cell = GatherCell::of_any(gather, phase, static_cast<int>(number / width));
    const int channel = static_cast<int>(number % width);
    const int group = channel / gather.out;
    const float* const by =
        weights + group * gather.group_weights() + (channel - group * gather.out) * gather.weight_out;
    const Element* const picture = source +
                                   static_cast<std::int64_t>(cell.picture) * gather.rows.source *
                                       gather.columns.source * gather.source_channels() +
                                   group * gather.in;
    float sum[1] = {};
    for (int tap_row = 0; tap_row < gather.rows.kernel; ++tap_row) {
      if (!gather.rows.has(row_phase, tap_row)) continue;
      const int row = cell.origin_row + gather.rows.shift(row_phase, tap_row);
      if (row < 0 || row >= gather.rows.source) continue;
      for (int tap_column = 0; tap_column < gather.columns.kernel; ++tap_column) {
        if (!gather.columns.has(column_phase, tap_column)) continue;
        const int column = cell.origin_column + gather.columns.shift(column_phase, tap_column);
        if (column < 0 || column >= gather.columns.source) continue;
        const Element* const from = picture + static_cast<std::int64_t>(row * gather.columns.source + column) *
                                                  gather.source_channels();
        const float* const of_tap = by + tap_row * gather.columns.kernel + tap_column;
        for (int in = 0; in < gather.in; ++in) sum[0] += to_f32(from[in]) * of_tap[in * gather.weight_in];
      }
    }
    const typename ConvEnding<Element>::Channel with[1] = {ending.channel(channel)};
    const std::int64_t at = static_cast<std::int64_t>(cell.destination(gather)) * width + channel;
    write_channels(ending, with, sum, at, 1, destination);
  }
}

}  // namespace

template <class Element>
void launch_conv_few(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                     const Element* source, const float* weights, Element* destination) {
  const int tiles = (gather.cells(0) + threads - 1) / threads;
  int blocks = tiles;
  if (ending.sums.partial != nullptr && tiles > most_parts) {
    const int each = (tiles + most_parts - 1) / most_parts;
    blocks = (tiles + each - 1) / each;
  }
  const Grid grid{{static_cast<unsigned>(blocks), static_cast<unsigned>((gather.out + wide - 1) / wide),
                   static_cast<unsigned>(gather.phases())},
                  {threads, 1, 1},
                  0};
  launch(context, "conv few", grid, conv_few<Element>, gather, ending, source, weights, destination);
}

template <class Element>
void launch_conv_each(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                      const Element* source, const float* weights, Element* destination) {
  Grid grid =
      grid_for(context, static_cast<std::int64_t>(gather.cells(0)) * gather.destination_channels(), threads);
  grid.blocks.y = static_cast<unsigned>(gather.phases());
  launch(context, "conv each", grid, conv_each<Element>, gather, ending, source, weights, destination);
}

template void launch_conv_few(const CudaContext&, const Gather&, const ConvEnding<float>&, const float*,
                              const float*, float*);
template void launch_conv_few(const CudaContext&, const Gather&, const ConvEnding<Bf16>&, const Bf16*,
                              const float*, Bf16*);
template void launch_conv_each(const CudaContext&, const Gather&, const ConvEnding<float>&, const float*,
                               const float*, float*);
template void launch_conv_each(const CudaContext&, const Gather&, const ConvEnding<Bf16>&, const Bf16*,
                               const float*, Bf16*);

}  // namespace descent
