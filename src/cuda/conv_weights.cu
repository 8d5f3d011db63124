// Gradient of a convolution's weights and bias: dw[o, i, tap] = Σ over cells of dz[cell, o] · x[cell + tap, i].
//
// Idea: the sum over cells is cut into fixed parts; a block takes one part of one tile of weights (up to 32
// output channels × some input channels × taps, at most 72). Slices of cells of both factors lie in shared
// memory, the next one on its way while one is multiplied (conv_weight_slices.h); teams of threads share the
// cells of a slice, so that small tiles keep all threads busy, too, and a thread keeps 8 × 4 sums. The teams'
// sums are added in shared memory, and a second kernel adds the parts:
// always in the same order. dz is made from dy on the way, if normalisation or an activation lie between, and
// written once for the input's gradient. Bound: 2 FLOPs a product; x and dz are read once a tile of weights,
// through caches.
#include "cuda/conv_passes.h"
#include "cuda/conv_weight_slices.h"
#include "cuda/intrinsics.h"
#include "cuda/launch.h"
#include "cuda/pack.h"
#include "cuda/sums.h"

#include <algorithm>

namespace descent {

namespace {

constexpr int threads = weight_threads;
constexpr int adding = 256;       // threads of a block that adds parts
constexpr int most_sharing = 32;  // of them, that share the parts of a number
constexpr int batch = 8;          // loads on their way at once
constexpr int least_cells = 64;   // of a slice
constexpr int most_cells = 256;

int log_above(int number) {
  int log = 0;
  while (1 << log < number) ++log;
  return log;
}

int power_above(int number) {
  return 1 << log_above(number);
}

int power_below(int number) {
  const int power = power_above(number);
  return power > number ? power / 2 : power;
}

// sums[k][o] += x[k] · dz[o] of one cell
template <int high>
__device__ inline void multiply_cell(const float* x, const float* dz, float (&sums)[high][4]) {
  float sources[high / 4][4];
  float gradients[4];
#pragma unroll
  for (int i = 0; i < high / 4; ++i) load_floats<4>(x + i * 4, sources[i]);
  load_floats<4>(dz, gradients);
#pragma unroll
  for (int i = 0; i < high; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) sums[i][j] += sources[i / 4][i % 4] * gradients[j];
  }
}

// Blocks: x tiles, y parts.
template <class Element, int x_width, int dz_width>
__global__ void __launch_bounds__(threads, 2)
    sum_weights(const Gather gather, const WeightTiles tiles, const Element* x,
                const OutputGradient<Element> gradient, const WeightGradients to) {
  constexpr int high = weight_rows(x_width);
  __shared__ WeightTable table;
  float* const space = dynamic_shared<float>();
  float* const x_slice = space;
  float* const dz_slice = space + tiles.cells * tiles.x_pitch();

  const int thread = static_cast<int>(threadIdx.x);
  const WeightTile tile(gather, tiles, static_cast<int>(blockIdx.x));
  table.fill(gather, tile, tiles, gradient);
  const int quads_wide = tiles.outputs / 4;
  const int a_team = tiles.team_threads();  // threads that share the tile; teams share the cells
  const int teams = threads / a_team;
  const int team = thread / a_team;
  const int wide_at = thread % quads_wide * 4;
  const int high_at = thread % a_team / quads_wide * high;
  const bool sums_bias = to.bias != nullptr && !to.bias_is_zero && tile.is_first() && high_at == 0;

  float sums[high][4] = {};
  float bias[4] = {};
  const int begin = static_cast<int>(blockIdx.y) * tiles.part_cells;
  const int end = std::min(begin + tiles.part_cells, gather.cells(0));
  CarriedSources<Element, x_width> sources;
  CarriedGradients<Element, dz_width> gradients;
  __syncthreads();
  sources.fetch(gather, tiles, tile, table, begin, end, x);
  gradients.fetch(gather, tiles, tile, begin, end, gradient);
  for (int cell = begin; cell < end; cell += tiles.cells) {
    if (cell > begin) __syncthreads();  // the slice before is done with
    sources.put(tiles, tile, x_slice);
    gradients.put(gather, tiles, tile, table, cell, end, gradient, dz_slice);
    __syncthreads();
    if (cell + tiles.cells < end) {
      sources.fetch(gather, tiles, tile, table, cell + tiles.cells, end, x);
      gradients.fetch(gather, tiles, tile, cell + tiles.cells, end, gradient);
    }
    const int count = team < teams ? std::min(tiles.cells, end - cell) : 0;
#pragma unroll 2
    for (int place = team; place < count; place += teams) {
      multiply_cell<high>(x_slice + place * tiles.x_pitch() + high_at,
                          dz_slice + place * tiles.outputs + wide_at, sums);
    }
    for (int place = team; sums_bias && place < count; place += teams) {
#pragma unroll
      for (int j = 0; j < 4; ++j) bias[j] += dz_slice[place * tiles.outputs + wide_at + j];
    }
  }

  // The teams' sums, one after the other; then the bias's.
  const int team_floats = tiles.tile_floats();
  __syncthreads();
  if (team < teams) {
    float* const own = space + team * team_floats;
    float* const block = own + thread % a_team;
#pragma unroll
    for (int i = 0; i < high; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) block[(i * 4 + j) * a_team] = sums[i][j];
    }
    if (high_at == 0) {
#pragma unroll
      for (int j = 0; j < 4; ++j) own[a_team * high * 4 + wide_at + j] = bias[j];
    }
  }
  __syncthreads();
  float* const partial =
      to.partial + (static_cast<std::int64_t>(blockIdx.x) * tiles.parts + blockIdx.y) * team_floats;
  for (int i = thread; i < team_floats; i += threads) {
    float sum = 0;
#pragma unroll 4
    for (int other = 0; other < teams; ++other) sum += space[other * team_floats + i];
    partial[i] = sum;
  }
}

// Number i of a tile, added up over parts, to its place.
__device__ void write_weight(const Gather& gather, const WeightTiles& tiles, const WeightTile& tile, int i,
                             float sum, const WeightGradients& to) {
  const int quads_wide = tiles.outputs / 4;
  const int a_team = tiles.team_threads();
  const int owner = i % a_team;
  const int number = i / a_team;
  const bool of_bias = number >= tiles.high * 4;
  const int output =
      tile.output + (of_bias ? i - a_team * tiles.high * 4 : owner % quads_wide * 4 + number % 4);
  if (output >= gather.out) return;
  const int channel = tile.group * gather.out + output;
  if (of_bias) {
    if (to.bias != nullptr && tile.is_first()) to.bias[channel] = to.bias_is_zero ? 0 : sum;
    return;
  }
  const int depth = owner / quads_wide * tiles.high + number / 4;
  const int tap = depth / tiles.channels;
  const int in = depth - tap * tiles.channels;
  if (tap >= tile.taps || in >= tile.channels) return;
  to.weights[(channel * gather.in + tile.channel + in) * gather.kernel() + tile.first_tap + tap] = sum;
}

// How many threads share the parts of a number, so that none adds up many one after the other; a power of two.
constexpr int sharing(int parts) {
  int lanes = 1;
  while (lanes < most_sharing && lanes * batch < parts) lanes *= 2;
  return lanes;
}

// Blocks: x tiles, y numbers of a tile, four a thread.
__global__ void __launch_bounds__(adding)
    add_weight_parts(const Gather gather, const WeightTiles tiles, const WeightGradients to) {
  __shared__ double space[adding * 4];
  const int thread = static_cast<int>(threadIdx.x);
  const int lanes = sharing(tiles.parts);
  const int packs = adding / lanes;
  const int lane = thread / packs;
  const int count = tiles.tile_floats();
  const int first = static_cast<int>(blockIdx.y) * packs * 4;
  const int number = first + thread % packs * 4;
  const float* const all = to.partial + static_cast<std::int64_t>(blockIdx.x) * tiles.parts * count + number;
  double sums[4] = {};
  for (int begin = lane; number < count && begin < tiles.parts; begin += batch * lanes) {
    float terms[batch][4];
#pragma unroll
    for (int i = 0; i < batch; ++i) {
      const int part = begin + i * lanes;
#pragma unroll
      for (int j = 0; j < 4; ++j) terms[i][j] = 0;
      if (part < tiles.parts) load_floats<4>(all + static_cast<std::int64_t>(part) * count, terms[i]);
    }
#pragma unroll
    for (int i = 0; i < batch; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[j] += static_cast<double>(terms[i][j]);
    }
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) space[thread * 4 + j] = sums[j];
  __syncthreads();
  const WeightTile tile(gather, tiles, static_cast<int>(blockIdx.x));
  for (int i = thread; i < packs * 4 && first + i < count; i += adding) {
    double sum = 0;
    for (int other = 0; other < lanes; ++other) sum += space[other * packs * 4 + i];
    write_weight(gather, tiles, tile, first + i, static_cast<float>(sum), to);
  }
}

}  // namespace

WeightTiles::WeightTiles(const Gather& forward) {
  const int x_width = forward.in % 4 == 0 ? 4 : 1;
  const int dz_width = forward.out % 4 == 0 ? 4 : 1;
  const int most_depth = most_weight_depth(x_width);
  const int all_taps = forward.kernel();
  // 3×3 taps of eight channels (four, where they move one by one) fill a tile; fewer taps, more channels.
  const int most_channels = all_taps <= 1 ? 8 : all_taps <= 2 ? 4 : all_taps <= 4 ? 2 : 1;
  high = weight_rows(x_width);
  channels = std::min(power_above(forward.in), most_channels * (x_width == 4 ? 8 : 4));
  const int most = most_depth / channels;
  chunks = (all_taps + most - 1) / most;
  taps = (all_taps + chunks - 1) / chunks;
  depth = channels * taps;
  blocks = (forward.in + channels - 1) / channels;
  outputs = std::clamp(power_above(forward.out), 4, most_slice_outputs);
  output_tiles = (forward.out + outputs - 1) / outputs;
  const int teams = threads / team_threads();
  cells = std::clamp(power_above(teams * 4), least_cells, most_cells);
  cells = std::min({cells, power_below(most_x_floats(x_width) / depth), most_dz_floats / outputs});
  cells_log = log_above(cells);
  x_packs_log = log_above(channels / x_width);
  dz_packs_log = log_above(outputs / dz_width);

  // Two blocks a multiprocessor of the largest devices, and the same parts on all.
  constexpr int wanted_blocks = 264;
  const int all_cells = forward.cells(0);
  const int slices = (all_cells + cells - 1) / cells;
  const int wanted_parts = std::clamp(wanted_blocks / tiles(forward), 1, slices);
  part_cells = (slices + wanted_parts - 1) / wanted_parts * cells;
  parts = (all_cells + part_cells - 1) / part_cells;
}

std::size_t WeightTiles::shared_bytes() const {
  const int slices = cells * (x_pitch() + outputs);
  const int sums = threads / team_threads() * tile_floats();
  return static_cast<std::size_t>(std::max(slices, sums)) * sizeof(float);
}

std::size_t WeightTiles::partial_bytes(const Gather& forward) const {
  return static_cast<std::size_t>(tiles(forward)) * static_cast<std::size_t>(parts) *
         static_cast<std::size_t>(tile_floats()) * sizeof(float);
}

template <class Element>
void weight_gradient(const CudaContext& context, const Gather& forward, const Element* x,
                     const OutputGradient<Element>& gradient, const WeightGradients& to) {
  const WeightTiles tiles(forward);
  const auto all_tiles = static_cast<unsigned>(tiles.tiles(forward));
  const Grid grid{{all_tiles, static_cast<unsigned>(tiles.parts), 1}, {threads, 1, 1}, tiles.shared_bytes()};
  const auto start = [&](auto* kernel) {
    launch(context, "conv weight gradient", grid, kernel, forward, tiles, x, gradient, to);
  };
  const bool x_packs = forward.in % 4 == 0;
  const bool dz_packs = forward.out % 4 == 0;
  if (x_packs && dz_packs) {
    start(&sum_weights<Element, 4, 4>);
  } else if (x_packs) {
    start(&sum_weights<Element, 4, 1>);
  } else if (dz_packs) {
    start(&sum_weights<Element, 1, 4>);
  } else {
    start(&sum_weights<Element, 1, 1>);
  }
  const int numbers = adding / sharing(tiles.parts) * 4;
  const auto shares = static_cast<unsigned>((tiles.tile_floats() + numbers - 1) / numbers);
  launch(context, "parts of a weight gradient", {{all_tiles, shares, 1}, {adding, 1, 1}, 0}, add_weight_parts,
         forward, tiles, to);
}

template void weight_gradient(const CudaContext&, const Gather&, const float*, const OutputGradient<float>&,
                              const WeightGradients&);
template void weight_gradient(const CudaContext&, const Gather&, const Bf16*, const OutputGradient<Bf16>&,
                              const WeightGradients&);

}  // namespace descent
