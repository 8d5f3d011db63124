// Idea: the sum over cells is a matrix product of dz transposed with what lies under the taps. A block takes a
// tile of output channels × 128 columns (a column is an input channel of a tap) of one part of the cells.
// Slices of 32 cells of both factors travel into shared memory by copies that run while the slices before are
// multiplied; there they lie as in memory, a cell a row, and are transposed on their way into registers. Each
// part's sums are written, and a second kernel adds the parts: always in the same order, and cut the same way
// on every device.
//
// Bound: 2 FLOPs a product on tensor cores, or the second cache's bytes: a tile reads (outputs + 128) · 2 bytes
// a cell for outputs · 256 FLOPs.
#include "cuda/launch.h"
#include "cuda/tensor_cores.h"
#include "cuda/weight_products.h"

#include <algorithm>
#include <type_traits>

namespace descent {

namespace {

constexpr int threads = 256;
constexpr int warps = threads / 32;
constexpr int slice = 32;  // cells
constexpr int stages = 3;  // slices in shared memory
constexpr int pack = 8;    // elements of 16 bytes
constexpr int packs = 16;  // of a tile
constexpr int columns = packs * pack;
constexpr int padding = 8;  // elements behind each row, so that eight rows lie in different banks

// How the warps share a tile.
template <int outputs>
struct TileCut {
  static constexpr int high = outputs >= 128 ? 4 : outputs >= 64 ? 2 : 1;  // warps one below the other
  static constexpr int wide = warps / high;
  static constexpr int rows = outputs / high / 16;   // products of 16 × 8 a warp
  static constexpr int halves = columns / wide / 8;  // side by side
  static constexpr int left_pitch = outputs + padding;
  static constexpr int right_pitch = columns + padding;
  static constexpr int left_elements = slice * left_pitch;
  static constexpr int stage_elements = left_elements + slice * right_pitch;
  static constexpr std::size_t shared_bytes = std::size_t{stages} * stage_elements * sizeof(Bf16);
};

// The cell that a thread copies: one of a slice, then the one at the same place of the next.
struct Walker {
  int number, picture, row, column;

  __device__ Walker(const Gather& of, int cell) : number(cell) {
    const GatherCell at(of, 0, cell);
    picture = at.picture;
    row = at.row;
    column = at.column;
  }
  __device__ void advance(const Gather& of, const WeightProducts::Tiles& tiles) {
    number += slice;
    column += tiles.columns_on;
    if (column >= of.columns.destination) {
      column -= of.columns.destination;
      ++row;
    }
    row += tiles.rows_on;
    if (row >= of.rows.destination) {
      row -= of.rows.destination;
      ++picture;
    }
    picture += tiles.pictures_on;
  }
};

// What a thread copies of every slice: some packs of the row of one cell, in both factors.
template <int outputs>
struct Copies {
  static constexpr int a_cell = threads / slice;  // threads
  static constexpr int left = (outputs / pack + a_cell - 1) / a_cell;
  static constexpr int right = packs / a_cell;

  struct Column {
    int row, column, channel;  // shifts of the tap; channel < 0: none
  };
  int first_output;
  Column under[right];

  __device__ Copies(const Gather& of, const WeightProducts::Tiles& tiles, int output_tile, int pack_tile)
      : first_output(output_tile * outputs) {
    const int lane = static_cast<int>(threadIdx.x) % a_cell;
    const int channel_packs = of.in / pack;
#pragma unroll
    for (int i = 0; i < right; ++i) {
      const int place = lane + i * a_cell;
      const int number = pack_tile * tiles.packs + place;
      const bool exists = place < tiles.packs && number < of.kernel() * channel_packs;
      const int tap = exists ? number / channel_packs : 0;
      const int tap_row = tap / of.columns.kernel;
      under[i] = {of.rows.shift(0, tap_row), of.columns.shift(0, tap - tap_row * of.columns.kernel),
                  exists ? (number - tap * channel_packs) * pack : -1};
    }
  }

  __device__ void start(const Gather& of, const Walker& at, int end, const Bf16* x, const Bf16* dz,
                        Bf16* stage) const {
    const int lane = static_cast<int>(threadIdx.x) % a_cell;
    const int place = static_cast<int>(threadIdx.x) / a_cell;
    const bool exists = at.number < end;
    Bf16* const left_row = stage + place * TileCut<outputs>::left_pitch;
    Bf16* const right_row = stage + TileCut<outputs>::left_elements + place * TileCut<outputs>::right_pitch;
    const Bf16* const from = dz + std::int64_t{at.number} * of.out + first_output;
#pragma unroll
    for (int i = 0; i < left; ++i) {
      const int output = (lane + i * a_cell) * pack;
      if (output >= outputs) break;
      const bool valid = exists && first_output + output < of.out;
      copy_async(left_row + output, valid ? from + output : dz, valid);
    }
    const int origin_row = of.rows.origin(at.row);
    const int origin_column = of.columns.origin(at.column);
    const std::int64_t picture = std::int64_t{at.picture} * of.rows.source;
#pragma unroll
    for (int i = 0; i < right; ++i) {
      const int row = origin_row + under[i].row;
      const int column = origin_column + under[i].column;
      const bool valid = exists && under[i].channel >= 0 && row >= 0 && row < of.rows.source && column >= 0 &&
                         column < of.columns.source;
      const std::int64_t cell = (picture + row) * of.columns.source + column;
      copy_async(right_row + (lane + i * a_cell) * pack, valid ? x + cell * of.in + under[i].channel : x,
                 valid);
    }
  }
};

template <int outputs>
__device__ inline void multiply_slice(const Bf16* stage,
                                      float (&sums)[TileCut<outputs>::rows][TileCut<outputs>::halves][4]) {
  using Tile = TileCut<outputs>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const Bf16* const left_tile = stage + warp / Tile::wide * Tile::rows * 16;
  const Bf16* const right_tile = stage + Tile::left_elements + warp % Tile::wide * Tile::halves * 8;
#pragma unroll
  for (int depth = 0; depth < slice; depth += 16) {
    std::uint32_t left[Tile::rows][4];
#pragma unroll
    for (int i = 0; i < Tile::rows; ++i)
      load_transposed(left[i], left_row(left_tile + depth * Tile::left_pitch + i * 16, Tile::left_pitch, lane));
#pragma unroll
    for (int j = 0; j < Tile::halves; j += 2) {
      std::uint32_t right[4];
      load_transposed(right,
                      right_row(right_tile + depth * Tile::right_pitch + j * 8, Tile::right_pitch, lane));
#pragma unroll
      for (int i = 0; i < Tile::rows; ++i) {
        multiply_tiles(sums[i][j], left[i], right[0], right[1]);
        multiply_tiles(sums[i][j + 1], left[i], right[2], right[3]);
      }
    }
  }
}

// Blocks: x tiles of columns, y tiles of outputs, z parts. Partial sums: part, output tile, column tile,
// output, column.
template <int outputs>
__global__ void __launch_bounds__(threads) multiply(const Gather of, const WeightProducts::Tiles tiles,
                                                    const Bf16* x, const Bf16* dz, float* partial) {
  using Tile = TileCut<outputs>;
  Bf16* const space = dynamic_shared<Bf16>();
  const int begin = static_cast<int>(blockIdx.z) * tiles.part_cells;
  const int end = std::min(begin + tiles.part_cells, of.cells(0));
  const int slices = (end - begin + slice - 1) / slice;
  const Copies<outputs> copies(of, tiles, static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.x));
  Walker at(of, begin + static_cast<int>(threadIdx.x) / Copies<outputs>::a_cell);
  const auto start = [&](int number) {
    if (number < slices) {
      copies.start(of, at, end, x, dz, space + number % stages * Tile::stage_elements);
      at.advance(of, tiles);
    }
    commit_copies();
  };

  float sums[Tile::rows][Tile::halves][4] = {};
  for (int i = 0; i < stages - 1; ++i) start(i);
  for (int i = 0; i < slices; ++i) {
    wait_for_copies<stages - 2>();
    __syncthreads();
    start(i + stages - 1);
    multiply_slice<outputs>(space + i % stages * Tile::stage_elements, sums);
  }

  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t tile = (std::int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  float* const to = partial + tile * outputs * columns + warp / Tile::wide * Tile::rows * 16 * columns +
                    warp % Tile::wide * Tile::halves * 8;
#pragma unroll
  for (int i = 0; i < Tile::rows; ++i) {
#pragma unroll
    for (int j = 0; j < Tile::halves; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float* const pair = to + (i * 16 + half * 8 + lane / 4) * columns + j * 8 + lane % 4 * 2;
        pair[0] = sums[i][j][2 * half];
        pair[1] = sums[i][j][2 * half + 1];
      }
    }
  }
}

// Threads of a block that adds parts: `together` numbers side by side, the others share the parts.
constexpr int together = 32;
constexpr int sharing = 8;

__global__ void __launch_bounds__(together* sharing)
    add_parts(const Gather of, const WeightProducts::Tiles tiles, int kept, const float* partial, float* dw) {
  __shared__ double sums[sharing][together];
  const int lane = static_cast<int>(threadIdx.x) % together;
  const int share = static_cast<int>(threadIdx.x) / together;
  const int number = static_cast<int>(blockIdx.x) * together + lane;  // of a part's sums
  const int all = tiles.output_tiles * tiles.pack_tiles * tiles.outputs * columns;
  double sum = 0;
  if (number < all) {
#pragma unroll 8
    for (int part = share; part < tiles.parts; part += sharing)
      sum += static_cast<double>(partial[std::int64_t{part} * all + number]);
  }
  sums[share][lane] = sum;
  __syncthreads();
  if (share != 0 || number >= all) return;
  for (int other = 1; other < sharing; ++other) sum += sums[other][lane];

  const int column = number % columns;
  const int row = number / columns;
  const int tile = row / tiles.outputs;
  const int output = tile / tiles.pack_tiles * tiles.outputs + row % tiles.outputs;
  const int channel_packs = of.in / pack;
  const int place = column / pack;
  const int among = tile % tiles.pack_tiles * tiles.packs + place;
  if (output >= of.out || place >= tiles.packs || among >= of.kernel() * channel_packs) return;
  const int tap = among / channel_packs;
  const int in = (among - tap * channel_packs) * pack + column % pack;
  if (in < kept) dw[(output * kept + in) * of.kernel() + tap] = static_cast<float>(sum);
}

// The smallest tile that holds all outputs, else a large one; 128 pay where there are many.
int outputs_of_tile(int out) {
  for (const int outputs : {16, 32, 64}) {
    if (out <= outputs) return outputs;
  }
  return 128;
}

}  // namespace

bool has_tensor_cores() {
  constexpr int first_with_them = 80;
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, multiply<16>), "cudaFuncGetAttributes");
  return attributes.ptxVersion >= first_with_them;
}

bool WeightProducts::suits(const CudaContext& context, const Gather& forward) {
  return context.tensor_cores && forward.groups == 1 && forward.in % pack == 0 && forward.out % pack == 0;
}

WeightProducts::WeightProducts(const Gather& forward, int kept)
    : forward_(forward), kept_(kept > 0 ? kept : forward.in) {
  tiles_.outputs = outputs_of_tile(forward.out);
  tiles_.output_tiles = (forward.out + tiles_.outputs - 1) / tiles_.outputs;
  const int all_packs = forward.kernel() * (forward.in / pack);
  tiles_.pack_tiles = (all_packs + packs - 1) / packs;
  tiles_.packs = (all_packs + tiles_.pack_tiles - 1) / tiles_.pack_tiles;

  // Some blocks for every multiprocessor of the largest devices, and the same on all; but a part is worth its
  // start, and the sums are no more than the products.
  constexpr int wanted_blocks = 528;
  constexpr int fewest_slices = 8;
  const int cells = forward.cells(0);
  const int slices = (cells + slice - 1) / slice;
  const int tiles = tiles_.output_tiles * tiles_.pack_tiles;
  const int wanted = std::clamp(wanted_blocks / tiles, 1, std::max(slices / fewest_slices, 1));
  tiles_.part_cells = (slices + wanted - 1) / wanted * slice;
  tiles_.parts = (cells + tiles_.part_cells - 1) / tiles_.part_cells;

  const int height = forward.rows.destination;
  const int width = forward.columns.destination;
  tiles_.pictures_on = slice / (height * width);
  tiles_.rows_on = slice % (height * width) / width;
  tiles_.columns_on = slice % width;
}

std::size_t WeightProducts::partial_bytes() const {
  return static_cast<std::size_t>(tiles_.parts) * static_cast<std::size_t>(tiles_.output_tiles) *
         static_cast<std::size_t>(tiles_.pack_tiles) * static_cast<std::size_t>(tiles_.outputs) * columns *
         sizeof(float);
}

void WeightProducts::run(const CudaContext& context, const Bf16* x, const Bf16* dz, float* partial,
                         float* dw) const {
  const auto product = [&]<int outputs>(std::integral_constant<int, outputs> /*tile*/) {
    const Grid grid{{static_cast<unsigned>(tiles_.pack_tiles), static_cast<unsigned>(tiles_.output_tiles),
                     static_cast<unsigned>(tiles_.parts)},
                    {threads, 1, 1},
                    TileCut<outputs>::shared_bytes};
    launch(context, "weight products", grid, multiply<outputs>, forward_, tiles_, x, dz, partial);
  };
  switch (tiles_.outputs) {
    case 16:
      product(std::integral_constant<int, 16>{});
      break;
    case 32:
      product(std::integral_constant<int, 32>{});
      break;
    case 64:
      product(std::integral_constant<int, 64>{});
      break;
    default:
      product(std::integral_constant<int, 128>{});
      break;
  }
  const int sums = tiles_.output_tiles * tiles_.pack_tiles * tiles_.outputs * columns;
  const Grid grid{dim3(static_cast<unsigned>((sums + together - 1) / together)), dim3(together * sharing), 0};
  launch(context, "sums of weight products", grid, add_parts, forward_, tiles_, kept_,
         static_cast<const float*>(partial), dw);
}

}  // namespace descent
