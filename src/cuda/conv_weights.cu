// Gradient of a convolution's weights and bias: dw[o, i, tap] = Σ over cells of dz[cell, o] · x[cell + tap, i].
//
// Idea: the sum over cells is cut into fixed parts; a block takes one part of one tile of weights (up to 64
// output channels × some input channels × taps, at most 36). Slices of cells of both factors lie in shared
// memory; a thread keeps 4 × 4 sums over every n-th group of four cells, so that small tiles keep all threads
// busy, too. The threads' sums are added in shared memory, and whichever block of a tile comes last adds the
// parts: always in the same order. dz is made from dy on the way, if normalisation or an activation lie
// between, and written once for the input's gradient. Bound: 2 FLOPs a product; x and dz are read once a tile
// of weights, through caches.
#include "cuda/channel_sums.h"
#include "cuda/conv_passes.h"
#include "cuda/intrinsics.h"
#include "cuda/launch.h"
#include "cuda/pack.h"

#include <algorithm>

namespace descent {

namespace {

constexpr int threads = 288;  // 3×3 taps of 4 channels on 32 outputs are 72 threads' work: four times as many
constexpr int loading = 256;  // of them gather, a power of two
constexpr int most_depth = 36;
constexpr int most_outputs = 32;
constexpr int most_cells = 256;
constexpr int sums_a_thread = 16;

int power_above(int number) {
  int power = 1;
  while (power < number) power *= 2;
  return power;
}

// One block's tile of weights.
struct Tile {
  int group, output, channel, first_tap, taps, channels;

  __device__ Tile(const Gather& gather, const WeightTiles& tiles, int number) {
    const int chunk = number % tiles.chunks;
    number /= tiles.chunks;
    const int block = number % tiles.blocks;
    number /= tiles.blocks;
    output = number % tiles.output_tiles * tiles.outputs;
    group = number / tiles.output_tiles;
    channel = block * tiles.channels;
    first_tap = chunk * tiles.taps;
    taps = std::min(tiles.taps, gather.kernel() - first_tap);
    channels = std::min(tiles.channels, gather.in - channel);
  }
  // The first of the tiles with these outputs: the bias's, and the one that writes dz.
  [[nodiscard]] __device__ bool is_first() const { return channel == 0 && first_tap == 0; }
};

// Rows channel · taps + tap, `pitch` floats each: what lies under the taps of cells from `cell` on.
template <class Element, int width>
__device__ void gather_slice(const Gather& gather, const WeightTiles& tiles, const Tile& tile, int cell,
                             int end, const Element* x, float* slice) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread >= loading) return;
  const int pitch = tiles.cells + 4;
  const int place = thread % tiles.cells;
  const bool exists = cell + place < end;
  const GatherCell at(gather, 0, exists ? cell + place : 0);
  const Element* const from = x +
                              static_cast<std::int64_t>(at.picture) * gather.rows.source *
                                  gather.columns.source * gather.source_channels() +
                              tile.group * gather.in + tile.channel;
  const int packs = (tiles.channels + width - 1) / width;
  for (int item = thread / tiles.cells; item < packs * tile.taps; item += loading / tiles.cells) {
    const int tap = item / packs;
    const int channel = (item - tap * packs) * width;
    const int kernel_tap = tile.first_tap + tap;
    const int tap_row = kernel_tap / gather.columns.kernel;
    const int tap_column = kernel_tap - tap_row * gather.columns.kernel;
    const int row = at.origin_row + gather.rows.shift(0, tap_row);
    const int column = at.origin_column + gather.columns.shift(0, tap_column);
    float values[width] = {};
    const bool inside = exists && channel < tile.channels && row >= 0 && row < gather.rows.source &&
                        column >= 0 && column < gather.columns.source;
    if (inside) {
      const std::int64_t offset =
          static_cast<std::int64_t>(row * gather.columns.source + column) * gather.source_channels();
      load_floats<width>(from + offset + channel, values);
    }
#pragma unroll
    for (int i = 0; i < width; ++i) slice[((channel + i) * tile.taps + tap) * pitch + place] = values[i];
  }
}

// One number of dz.
template <class Element>
__device__ inline float output_gradient_at(const OutputGradient<Element>& of, int channel, float dy, float z) {
  if (of.z == nullptr) return dy;
  if (of.by == nullptr) return of.activation.gradient(z, dy);
  const ChannelForward by = of.by[channel];
  const ChannelBackward back = of.back[channel];
  const float centred = z - by.centre;
  const float g = of.activation.gradient(centred * by.slope + by.shift, dy);
  return centred * back.slope + (g * back.gain + back.shift);
}

// Rows cell, `outputs + 4` floats each: dz.
template <class Element, int width>
__device__ void gradient_slice(const Gather& gather, const WeightTiles& tiles, const Tile& tile, int cell,
                               int end, const OutputGradient<Element>& gradient, float* slice) {
  const int pitch = tiles.outputs + 4;
  const int packs = tiles.outputs / width;
  const bool writes = gradient.dz != nullptr && tile.is_first();
  for (int item = static_cast<int>(threadIdx.x); item < packs * tiles.cells; item += threads) {
    const int place = item / packs;
    const int output = (item - place * packs) * width;
    float values[width] = {};
    if (cell + place < end && tile.output + output < gather.out) {
      const int channel = tile.group * gather.out + tile.output + output;
      const std::int64_t at = static_cast<std::int64_t>(cell + place) * gather.destination_channels() + channel;
      load_floats<width>(gradient.dy + at, values);
      float z[width] = {};
      if (gradient.z != nullptr) load_floats<width>(gradient.z + at, z);
#pragma unroll
      for (int i = 0; i < width; ++i)
        values[i] = to_f32(to_element<Element>(output_gradient_at(gradient, channel + i, values[i], z[i])));
      if (writes) store_floats<width>(gradient.dz + at, values);
    }
#pragma unroll
    for (int i = 0; i < width; ++i) slice[place * pitch + output + i] = values[i];
  }
}

// sums[k][o] += Σ over four cells
__device__ inline void multiply_cells(const float* x, int x_pitch, const float* dz, int dz_pitch,
                                      float (&sums)[4][4], float (&bias)[4]) {
  float sources[4][4];
  float gradients[4][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    load_floats<4>(x + i * x_pitch, sources[i]);
    load_floats<4>(dz + i * dz_pitch, gradients[i]);
  }
#pragma unroll
  for (int cell = 0; cell < 4; ++cell) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      bias[j] += gradients[cell][j];
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[i][j] += sources[i][cell] * gradients[cell][j];
    }
  }
}

// finish(i, Σ over parts) for each of `count` numbers, a multiple of 4. Threads that are left over share the
// parts.
template <class Finish>
__device__ void add_parts(const float* all, int parts, int count, double* space, const Finish& finish) {
  constexpr int batch = 8;  // loads on their way at once
  const int thread = static_cast<int>(threadIdx.x);
  const int packs = count / 4;
  const int side_by_side = packs < threads ? packs : threads;
  const int lanes = threads / side_by_side;
  const int lane = thread / side_by_side;
  for (int base = 0; base < packs; base += side_by_side) {
    const int pack = base + thread % side_by_side;
    const bool works = lane < lanes && pack < packs;
    double sums[4] = {};
    for (int begin = lane; works && begin < parts; begin += batch * lanes) {
      float terms[batch][4];
#pragma unroll
      for (int i = 0; i < batch; ++i) {
        const int part = begin + i * lanes;
#pragma unroll
        for (int j = 0; j < 4; ++j) terms[i][j] = 0;
        if (part < parts) load_floats<4>(all + static_cast<std::int64_t>(part) * count + pack * 4, terms[i]);
      }
#pragma unroll
      for (int i = 0; i < batch; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[j] += static_cast<double>(terms[i][j]);
      }
    }
    __syncthreads();
#pragma unroll
    for (int j = 0; j < 4; ++j) space[j * threads + thread] = sums[j];
    __syncthreads();
    for (int j = 0; lane == 0 && works && j < 4; ++j) {
      double sum = 0;
      for (int other = 0; other < lanes; ++other) sum += space[j * threads + other * side_by_side + thread];
      finish(pack * 4 + j, static_cast<float>(sum));
    }
  }
}

// Blocks: x tiles, y parts.
template <class Element, int x_width, int dz_width>
__global__ void __launch_bounds__(threads)
    sum_weights(const Gather gather, const WeightTiles tiles, const Element* x,
                const OutputGradient<Element> gradient, const WeightGradients to) {
  float* const space = dynamic_shared<float>();
  const int rows = (tiles.depth + 3) / 4 * 4;
  const int x_pitch = tiles.cells + 4;
  const int dz_pitch = tiles.outputs + 4;
  float* const x_slice = space;
  float* const dz_slice = space + rows * x_pitch;

  const int thread = static_cast<int>(threadIdx.x);
  const Tile tile(gather, tiles, static_cast<int>(blockIdx.x));
  const int quads_high = rows / 4;  // of depth
  const int quads_wide = tiles.outputs / 4;
  const int a_team = quads_high * quads_wide;  // threads that share the tile; teams share the cells
  const int teams = threads / a_team;
  const int team = thread / a_team;
  const int wide_at = thread % quads_wide * 4;
  const int high_at = thread % a_team / quads_wide * 4;

  float sums[4][4] = {};
  float bias[4] = {};
  const int begin = static_cast<int>(blockIdx.y) * tiles.part_cells;
  const int end = std::min(begin + tiles.part_cells, gather.cells(0));
  for (int cell = begin; cell < end; cell += tiles.cells) {
    __syncthreads();
    gather_slice<Element, x_width>(gather, tiles, tile, cell, end, x, x_slice);
    gradient_slice<Element, dz_width>(gather, tiles, tile, cell, end, gradient, dz_slice);
    __syncthreads();
    if (team >= teams) continue;
    for (int quad = team * 4; quad < tiles.cells; quad += teams * 4) {
      multiply_cells(x_slice + high_at * x_pitch + quad, x_pitch, dz_slice + quad * dz_pitch + wide_at,
                     dz_pitch, sums, bias);
    }
  }

  // The teams' sums, one after the other; then the bias's.
  const int team_floats = a_team * sums_a_thread + tiles.outputs;
  __syncthreads();
  if (team < teams) {
    float* const own = space + team * team_floats;
    float* const block = own + thread % a_team;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) block[(i * 4 + j) * a_team] = sums[i][j];
    }
    if (high_at == 0) {
#pragma unroll
      for (int j = 0; j < 4; ++j) own[a_team * sums_a_thread + wide_at + j] = bias[j];
    }
  }
  __syncthreads();
  float* const partial =
      to.partial + (static_cast<std::int64_t>(blockIdx.x) * tiles.parts + blockIdx.y) * team_floats;
  for (int i = thread; i < team_floats; i += threads) {
    float sum = 0;
    for (int other = 0; other < teams; ++other) sum += space[other * team_floats + i];
    partial[i] = sum;
  }
  if (!is_last_block(to.counters + blockIdx.x, static_cast<unsigned>(tiles.parts))) return;

  const float* const all = to.partial + static_cast<std::int64_t>(blockIdx.x) * tiles.parts * team_floats;
  add_parts(all, tiles.parts, team_floats, reinterpret_cast<double*>(space), [&](int i, float sum) {
    const bool of_bias = i >= a_team * sums_a_thread;
    const int owner = i % a_team;
    const int number = i / a_team;
    const int output =
        tile.output + (of_bias ? i - a_team * sums_a_thread : owner % quads_wide * 4 + number % 4);
    if (output >= gather.out) return;
    const int channel = tile.group * gather.out + output;
    if (of_bias) {
      if (to.bias != nullptr && tile.is_first()) to.bias[channel] = to.bias_is_zero ? 0 : sum;
      return;
    }
    const int depth = owner / quads_wide * 4 + number / 4;
    if (depth >= tile.channels * tile.taps) return;
    const int in = tile.channel + depth / tile.taps;
    const int tap = tile.first_tap + depth % tile.taps;
    to.weights[(channel * gather.in + in) * gather.kernel() + tap] = sum;
  });
}

}  // namespace

WeightTiles::WeightTiles(const Gather& forward) {
  const int all_taps = forward.kernel();
  channels = std::min(power_above(forward.in), all_taps <= 1 ? 32 : all_taps <= 2 ? 16 : all_taps <= 4 ? 8 : 4);
  const int most = most_depth / channels;
  chunks = (all_taps + most - 1) / most;
  taps = (all_taps + chunks - 1) / chunks;
  depth = channels * taps;
  blocks = (forward.in + channels - 1) / channels;
  outputs = std::clamp(power_above(forward.out), 4, most_outputs);
  output_tiles = (forward.out + outputs - 1) / outputs;
  const int teams = threads / ((depth + 3) / 4 * (outputs / 4));
  cells = std::clamp(power_above(teams * 4), 64, most_cells);

  // Two blocks a multiprocessor of the largest devices, and the same parts on all; but no more than one block
  // adds up in a moment.
  constexpr int wanted_blocks = 264;
  constexpr int most_floats = 40000;
  const int all_cells = forward.cells(0);
  const int slices = (all_cells + cells - 1) / cells;
  const int wanted_parts =
      std::clamp(std::min(wanted_blocks / tiles(forward), most_floats / tile_floats()), 1, slices);
  part_cells = (slices + wanted_parts - 1) / wanted_parts * cells;
  parts = (all_cells + part_cells - 1) / part_cells;
}

std::size_t WeightTiles::shared_bytes() const {
  const int rows = (depth + 3) / 4 * 4;
  const int slices = rows * (cells + 4) + cells * (outputs + 4);
  const int a_team = rows / 4 * (outputs / 4);
  const int sums = threads / a_team * (a_team * sums_a_thread + outputs);
  const int totals = threads * 4 * 2;  // as doubles
  return static_cast<std::size_t>(std::max({slices, sums, totals})) * sizeof(float);
}

std::size_t WeightTiles::partial_bytes(const Gather& forward) const {
  return static_cast<std::size_t>(tiles(forward)) * static_cast<std::size_t>(parts) *
         static_cast<std::size_t>(tile_floats()) * sizeof(float);
}

std::size_t WeightTiles::counter_bytes(const Gather& forward) const {
  return static_cast<std::size_t>(tiles(forward)) * sizeof(unsigned);
}

template <class Element>
void weight_gradient(const CudaContext& context, const Gather& forward, const Element* x,
                     const OutputGradient<Element>& gradient, const WeightGradients& to) {
  const WeightTiles tiles(forward);
  const Grid grid{{static_cast<unsigned>(tiles.tiles(forward)), static_cast<unsigned>(tiles.parts), 1},
                  {threads, 1, 1},
                  tiles.shared_bytes()};
  const auto start = [&](auto* kernel) {
    launch(context, "conv weight gradient", grid, kernel, forward, tiles, x, gradient, to);
  };
  const bool x_packs = forward.in % 4 == 0;
  const bool dz_packs = forward.out % 4 == 0;
  if (x_packs && dz_packs) return start(&sum_weights<Element, 4, 4>);
  if (x_packs) return start(&sum_weights<Element, 4, 1>);
  if (dz_packs) return start(&sum_weights<Element, 1, 4>);
  start(&sum_weights<Element, 1, 1>);
}

template void weight_gradient(const CudaContext&, const Gather&, const float*, const OutputGradient<float>&,
                              const WeightGradients&);
template void weight_gradient(const CudaContext&, const Gather&, const Bf16*, const OutputGradient<Bf16>&,
                              const WeightGradients&);

}  // namespace descent
