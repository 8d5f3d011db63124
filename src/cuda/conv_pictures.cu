// Convolution of many small pictures: whole ones lie in shared memory, and so do the weights.
//
// Idea: where a few pictures with their borders and all the weights fit into shared memory, nothing is
// gathered. A block loads pictures as they lie in memory, once for all taps and phases, and a thread sums up
// four cells × four destination channels with no test on the way: windows that reach over the edge find zeros
// there. Teams of threads share the source channels where that leaves threads without work. Bound: 2 FLOPs a
// product at the device's f32 peak, eight reads of 16 bytes from shared memory for 64 products.
#include "cuda/conv_ending.h"
#include "cuda/conv_launches.h"
#include "cuda/divider.h"
#include "cuda/intrinsics.h"
#include "cuda/launch.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace descent {

namespace {

constexpr int threads_log = 8;
constexpr int threads = 1 << threads_log;
constexpr int warps = threads / 32;
constexpr int high = 4;  // cells of a thread
constexpr int wide = 4;  // channels of a thread
constexpr int most_columns = 64;
constexpr int most_teams = warps;

// Source positions along one axis that some window reads.
struct Reach {
  int first = 0;
  int count = 0;

  explicit Reach(const GatherAxis& axis) {
    int last = -1;
    for (int phase = 0; phase < axis.phases(); ++phase) {
      for (int tap = 0; tap < axis.kernel; ++tap) {
        if (!axis.has(phase, tap) || axis.cells(phase) == 0) continue;
        first = std::min(first, axis.origin(0) + axis.shift(phase, tap));
        last = std::max(last, axis.origin(axis.cells(phase) - 1) + axis.shift(phase, tap));
      }
    }
    count = last - first + 1;
  }
};

// How pictures are cut into blocks, and how a block's shared memory is laid out.
struct PictureTiles {
  int pictures = 1;  // of a block at a time
  // The frame: a picture with what windows reach beyond it.
  int first_row = 0;
  int first_column = 0;
  int rows = 1;
  int columns = 1;
  int channels = 1;                     // of a pixel, zeros behind the source's
  int pitch = 1;                        // floats from pixel to pixel: neighbours keep to banks of their own
  int packs_log = 0;                    // of fours of destination channels of a block
  int out_tiles = 1;                    // blocks side by side for all of them
  int teams_log = 0;                    // of teams that share the source channels
  int items = 0;                        // of a tile, of all phases
  int quads[Gather::most_phases] = {};  // of a phase's cells
  Divider by_channels;
  Divider by_row;           // of source pixels that are loaded
  Divider by_source_packs;  // that a pixel is loaded as

  [[nodiscard]] constexpr int packs() const { return 1 << packs_log; }
  [[nodiscard]] constexpr int out() const { return wide << packs_log; }
  [[nodiscard]] constexpr int teams() const { return 1 << teams_log; }
  [[nodiscard]] constexpr int team_threads() const { return threads >> teams_log; }
  [[nodiscard]] constexpr int frame() const { return rows * columns * pitch; }
  [[nodiscard]] constexpr int out_pitch() const { return out() + 4; }
  // Of the source, that frames hold.
  [[nodiscard]] constexpr int loaded_row() const { return std::max(first_row, 0); }
  [[nodiscard]] constexpr int loaded_column() const { return std::max(first_column, 0); }
  [[nodiscard]] constexpr int loaded_rows(const Gather& gather) const {
    return std::min(first_row + rows, gather.rows.source) - loaded_row();
  }
  [[nodiscard]] constexpr int loaded_columns(const Gather& gather) const {
    return std::min(first_column + columns, gather.columns.source) - loaded_column();
  }
  [[nodiscard]] constexpr int weights(const Gather& gather) const {
    return gather.kernel() * channels * out_pitch();
  }
  // Sums of teams, then those a channel.
  [[nodiscard]] constexpr int scratch() const {
    return std::max({(teams() - 1) * team_threads() * high * wide, warps * 2 * out() * 2, 4 * threads});
  }
  [[nodiscard]] constexpr int frame_packs() const { return (pictures * frame() + 3) / 4; }
  [[nodiscard]] constexpr std::size_t shared_bytes(const Gather& gather) const {
    return static_cast<std::size_t>(scratch() + weights(gather) + 4 * frame_packs()) * sizeof(float);
  }
};

// None where pictures are few or too large.
std::optional<PictureTiles> picture_tiles(const CudaContext& context, const Gather& gather) {
  constexpr int least_pictures = 32;
  constexpr int wanted_blocks = 264;                // two a multiprocessor of the largest devices
  constexpr std::size_t most_shared = 112U << 10U;  // so that two blocks share a multiprocessor
  constexpr std::size_t fixed = 2U << 10U;          // of what the kernel has besides
  if (!gather.has_table || gather.groups > 1 || gather.pictures < least_pictures) return {};
  const Reach rows(gather.rows);
  const Reach columns(gather.columns);
  if (rows.count <= 0 || columns.count <= 0) return {};
  PictureTiles tiles;
  tiles.first_row = rows.first;
  tiles.first_column = columns.first;
  tiles.rows = rows.count;
  tiles.columns = columns.count;
  const bool in_fours = gather.in >= 4;
  tiles.channels = in_fours ? (gather.in + 3) / 4 * 4 : gather.in;
  tiles.pitch = in_fours && tiles.channels % 8 == 0 ? tiles.channels + 4 : tiles.channels;
  while (tiles.out() < gather.out && tiles.out() < most_columns) ++tiles.packs_log;
  tiles.out_tiles = (gather.out + tiles.out() - 1) / tiles.out();
  tiles.by_channels = Divider(tiles.channels);
  if (tiles.loaded_rows(gather) <= 0 || tiles.loaded_columns(gather) <= 0) return {};
  tiles.by_row = Divider(tiles.loaded_rows(gather));
  tiles.by_source_packs = Divider(gather.in % 4 == 0 ? gather.in / 4 : gather.in);

  const std::size_t limit = std::min(context.shared_bytes - fixed, most_shared);
  const int wanted = std::max(1, (gather.pictures * tiles.out_tiles + wanted_blocks - 1) / wanted_blocks);
  for (tiles.pictures = wanted; tiles.pictures > 1 && tiles.shared_bytes(gather) > limit;) --tiles.pictures;
  for (int phase = 0; phase < gather.phases(); ++phase) {
    tiles.quads[phase] = (gather.phase_table[phase].cells * tiles.pictures + high - 1) / high;
    tiles.items += tiles.quads[phase] * tiles.packs();
  }
  const int depth = in_fours ? tiles.channels / 4 : tiles.channels;
  while (tiles.teams() < most_teams && tiles.items * tiles.teams() * 2 <= threads && tiles.teams() * 2 <= depth)
    ++tiles.teams_log;
  // With fewer sums loading the weights would take longer than multiplying.
  constexpr int least_items = 64;
  if (tiles.shared_bytes(gather) > limit || tiles.items < least_items) return {};
  return tiles;
}

// Plain weights of the block's channels, `tap, source channel, destination channel`. Lanes take four
// destination channels × neighbours in memory: no two share a bank.
__device__ void load_weights(const Gather& gather, const PictureTiles& tiles, int first_out,
                             const float* weights, float* to) {
  const int taps = gather.first_tap[gather.phases()];
  const bool sources_are_near = gather.weight_in < gather.weight_out;
  for (int i = static_cast<int>(threadIdx.x); i < tiles.channels * tiles.out(); i += threads) {
    const int quad = i / wide;
    const int by_channels = tiles.by_channels.quotient(quad);
    const int channel = sources_are_near ? quad - by_channels * tiles.channels : quad >> tiles.packs_log;
    const int pack = sources_are_near ? by_channels : quad & (tiles.packs() - 1);
    const int column = pack * wide + i % wide;
    const bool exists = channel < gather.in && first_out + column < gather.out;
    const float* const from = weights + (first_out + column) * gather.weight_out + channel * gather.weight_in;
    float* const place = to + channel * tiles.out_pitch() + column;
#pragma unroll 9
    for (int tap = 0; tap < taps; ++tap)
      place[tap * tiles.channels * tiles.out_pitch()] = exists ? from[gather.taps[tap].weight] : 0;
  }
}

// The pixels of `count` pictures into their frames; a warp a line. `source`: the first of them.
template <int vector, class Element>
__device__ void load_frames(const Gather& gather, const PictureTiles& tiles, int count, const Element* source,
                            float* frames) {
  const int first_row = tiles.loaded_row();
  const int first_column = tiles.loaded_column();
  const int rows = tiles.loaded_rows(gather);
  const int packs = gather.in / vector;
  const int lines = count * rows;
  for (int strip = static_cast<int>(threadIdx.x) % 32; strip < tiles.loaded_columns(gather) * packs;
       strip += 32) {
    const int column = tiles.by_source_packs.quotient(strip);
    const int channel = (strip - column * packs) * vector;
    const int from = (first_row * gather.columns.source + first_column + column) * gather.in + channel;
    float* const to =
        frames +
        ((first_row - tiles.first_row) * tiles.columns + first_column - tiles.first_column + column) *
            tiles.pitch +
        channel;
#pragma unroll 8
    for (int line = static_cast<int>(threadIdx.x) / 32; line < lines; line += warps) {
      const int picture = tiles.by_row.quotient(line);
      const int row = line - picture * rows;
      float values[vector];
      load_floats<vector>(
          source + from + (picture * gather.rows.source + row) * gather.columns.source * gather.in, values);
      store_floats<vector>(to + (picture * tiles.rows + row) * tiles.columns * tiles.pitch, values);
    }
  }
}

// What one thread computes of a tile.
struct Item {
  int phase = 0;
  int pack = 0;
  bool exists = false;
  int places[high] = {};        // of windows, in the frames
  int destinations[high] = {};  // cells behind the tile's first picture; negative: none

  __device__ Item(const Gather& gather, const PictureTiles& tiles, int number, int pictures) {
    pack = number & (tiles.packs() - 1);
    exists = number < tiles.items;
    if (!exists) return;
    int quad = number >> tiles.packs_log;
    phase = gather.phases() - 1;  // the last has the most taps
    while (quad >= tiles.quads[phase]) quad -= tiles.quads[phase--];
    const int quads = tiles.quads[phase];
    const int cells = gather.phase_table[phase].cells * pictures;
#pragma unroll
    for (int i = 0; i < high; ++i) {
      // Neighbouring lanes have neighbouring cells.
      const int at = quad + i * quads;
      const GatherCell cell(gather, phase, at < cells ? at : 0);
      const int row = cell.picture * tiles.rows + cell.origin_row - tiles.first_row;
      places[i] = (row * tiles.columns + cell.origin_column - tiles.first_column) * tiles.pitch;
      destinations[i] = at < cells ? cell.destination(gather) : -1;
    }
  }
};

// Source channels [begin, end) of all taps of the item's phase.
template <int width>
__device__ void multiply(const Gather& gather, const PictureTiles& tiles, const Item& item, int begin, int end,
                         const float* frames, const int* shifts, const float* weights,
                         float (&sums)[high][wide]) {
  const int out_pitch = tiles.out_pitch();
  for (int tap = gather.first_tap[item.phase]; tap < gather.first_tap[item.phase + 1]; ++tap) {
    const float* const window = frames + shifts[tap];
    const float* const of_tap = weights + tap * tiles.channels * out_pitch + item.pack * wide;
#pragma unroll 2
    for (int channel = begin; channel < end; channel += width) {
      float sources[high][width];
      float by[width][wide];
#pragma unroll
      for (int i = 0; i < high; ++i) load_floats<width>(window + item.places[i] + channel, sources[i]);
#pragma unroll
      for (int k = 0; k < width; ++k) load_floats<wide>(of_tap + (channel + k) * out_pitch, by[k]);
#pragma unroll
      for (int k = 0; k < width; ++k) {
#pragma unroll
        for (int i = 0; i < high; ++i) {
#pragma unroll
          for (int j = 0; j < wide; ++j) sums[i][j] += sources[i][k] * by[k][j];
        }
      }
    }
  }
}

// Adds up the teams' sums, one after the other, in the first one. For all threads of a block.
__device__ void add_teams(const PictureTiles& tiles, int team, int place, float* space,
                          float (&sums)[high][wide]) {
  const int a_team = tiles.team_threads();
  float* const own = space + place;
  constexpr int each = high * wide;
#pragma unroll
  for (int i = 0; i < each; ++i) {
    if (team > 0) own[((team - 1) * each + i) * a_team] = sums[i / wide][i % wide];
  }
  __syncthreads();
  for (int other = 0; team == 0 && other < tiles.teams() - 1; ++other) {
#pragma unroll
    for (int i = 0; i < each; ++i) sums[i / wide][i % wide] += own[(other * each + i) * a_team];
  }
}

// Blocks: x pictures (each takes every gridDim.x-th tile), y tiles of destination channels.
template <class Element, int width, int vector>
__global__ void __launch_bounds__(threads, 2)
    conv_pictures(const Gather gather, const PictureTiles tiles, const ConvEnding<Element> ending,
                  const Element* source, const float* weights, Element* destination) {
  __shared__ int shifts[Gather::most_taps];
  __shared__ float slopes[most_columns];
  __shared__ float moves[most_columns];
  float* const scratch = dynamic_shared<float>();
  float* const weight_tile = scratch + tiles.scratch();
  float* const frames = weight_tile + tiles.weights(gather);
  const int thread = static_cast<int>(threadIdx.x);
  const int first_out = static_cast<int>(blockIdx.y) * tiles.out();
  const int a_team = tiles.team_threads();
  const int team = thread >> (threads_log - tiles.teams_log);
  const int place = thread - team * a_team;

  for (int i = thread; i < tiles.frame_packs(); i += threads) store_floats<4>(frames + 4 * i, {0, 0, 0, 0});
  for (int i = thread; i < gather.first_tap[gather.phases()]; i += threads)
    shifts[i] = (gather.taps[i].row * tiles.columns + gather.taps[i].column) * tiles.pitch;
  if (thread < tiles.out() && first_out + thread < gather.out) {
    const auto numbers = ending.channel(first_out + thread);
    slopes[thread] = numbers.slope;
    moves[thread] = numbers.shift;
  }
  load_weights(gather, tiles, first_out, weights, weight_tile);
  const int depth = ((tiles.channels / width + tiles.teams() - 1) >> tiles.teams_log) * width;
  const int begin = team * depth;
  const int end = std::min(begin + depth, tiles.channels);
  const bool takes_sums = ending.sums.partial != nullptr;
  double first[wide] = {};
  double second[wide] = {};

  for (int tile = static_cast<int>(blockIdx.x); tile * tiles.pictures < gather.pictures;
       tile += static_cast<int>(gridDim.x)) {
    const int picture = tile * tiles.pictures;
    const int count = std::min(tiles.pictures, gather.pictures - picture);
    __syncthreads();  // the frames are zero, or the tile before is done with
    load_frames<vector>(
        gather, tiles, count,
        source + static_cast<std::int64_t>(picture) * gather.rows.source * gather.columns.source * gather.in,
        frames);
    __syncthreads();
    const std::int64_t first_cell =
        static_cast<std::int64_t>(picture) * gather.rows.destination * gather.columns.destination;
    for (int round = 0; round < tiles.items; round += a_team) {  // one round where there are teams
      const Item item(gather, tiles, round + place, count);
      float sums[high][wide] = {};
      if (item.exists) multiply<width>(gather, tiles, item, begin, end, frames, shifts, weight_tile, sums);
      if (tiles.teams() > 1) add_teams(tiles, team, place, scratch, sums);
      const int left = gather.out - first_out - item.pack * wide;
      if (!item.exists || team > 0 || left <= 0) continue;
      typename ConvEnding<Element>::Channel channels[wide];
#pragma unroll
      for (int j = 0; j < wide; ++j) channels[j] = {slopes[item.pack * wide + j], moves[item.pack * wide + j]};
#pragma unroll
      for (int i = 0; i < high; ++i) {
        if (item.destinations[i] < 0) continue;
        const std::int64_t at = (first_cell + item.destinations[i]) * gather.out + first_out + item.pack * wide;
        write_channels(ending, channels, sums[i], at, left, destination);
        if (takes_sums) add_squares(sums[i], first, second);
      }
    }
  }

  if (!takes_sums) return;
  __syncthreads();  // what was in the scratch is done with
  auto* const doubles = reinterpret_cast<double*>(scratch);
  const double total = block_totals<wide>(first, second, tiles.packs(), a_team, doubles);
  finish_sums(total, tiles.out(), first_out, std::min(gather.out, first_out + tiles.out()), gather.out,
              static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x), ending.sums.counters + blockIdx.y,
              ending.sums, ending.statistics, doubles);
}

}  // namespace

bool suits_pictures(const CudaContext& context, const Gather& gather) {
  return picture_tiles(context, gather).has_value();
}

template <class Element>
void launch_conv_pictures(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                          const Element* source, const float* weights, Element* destination) {
  const PictureTiles tiles = picture_tiles(context, gather).value();
  const int most_blocks = std::max(1, most_parts / tiles.out_tiles);
  const int blocks = std::min((gather.pictures + tiles.pictures - 1) / tiles.pictures, most_blocks);
  const Grid grid{{static_cast<unsigned>(blocks), static_cast<unsigned>(tiles.out_tiles), 1},
                  {threads, 1, 1},
                  tiles.shared_bytes(gather)};
  const auto start = [&](auto* kernel) {
    launch(context, "conv pictures", grid, kernel, gather, tiles, ending, source, weights, destination);
  };
  if (gather.in < 4) return start(&conv_pictures<Element, 1, 1>);
  if (gather.in % 4 == 0) return start(&conv_pictures<Element, 4, 4>);
  start(&conv_pictures<Element, 4, 1>);
}

template void launch_conv_pictures(const CudaContext&, const Gather&, const ConvEnding<float>&, const float*,
                                   const float*, float*);
template void launch_conv_pictures(const CudaContext&, const Gather&, const ConvEnding<Bf16>&, const Bf16*,
                                   const float*, Bf16*);

}  // namespace descent
