// Convolution of many small pictures: whole ones lie in shared memory, and so do the weights.
//
// Idea: where a few pictures with their borders and all the weights fit into shared memory, nothing is
// gathered. A block loads pictures as they lie in memory, once for all taps and phases, and a thread sums up
// four cells × four destination channels in steps of four source channels of a tap, with no test on the way:
// windows that reach over the edge find zeros there. Teams of threads share the steps where that leaves threads
// without work. What is loaded can be made on the way: normalised and activated, or as the gradient of a
// convolution's output from that of what normalises and activates it; and what is written can be summed up for
// a normalisation. Bound: 2 FLOPs a product at the device's f32 peak, eight reads of 16 bytes from shared
// memory for 64 products.
#include "cuda/conv_ending.h"
#include "cuda/conv_launches.h"
#include "cuda/intrinsics.h"
#include "cuda/launch.h"
#include "cuda/picture_tiles.h"

#include <cstdint>
#include <type_traits>

namespace descent {

namespace {

constexpr int threads = PictureTiles::threads;
constexpr int high = PictureTiles::high;
constexpr int wide = PictureTiles::wide;

// What pictures are loaded from: `fetch` reads, `make` gives the values and may write; `at` counts elements.
template <class Element>
struct PlainSource {
  const Element* from;

  __device__ void prepare(int /*channels*/) const {}
  template <int vector>
  [[nodiscard]] __device__ Pack<Element, vector> fetch(std::int64_t at) const {
    return load_pack<vector>(from + at);
  }
  template <int vector>
  __device__ void make(const Pack<Element, vector>& fetched, std::int64_t /*at*/, int /*channel*/,
                       bool /*first*/, float (&values)[vector]) const {
    to_floats(fetched, values);
  }
};

// What sources are computed with, in shared memory: `count` numbers a channel, those of four channels at once.
template <int count>
struct ChannelTable {
  static __device__ float* row(int number) {
    alignas(16) __shared__ float numbers[count * PictureTiles::most_source_channels];
    return numbers + number * PictureTiles::most_source_channels;
  }
  static __device__ void put(int channel, const ChannelForward& by) {  // in the first three rows
    row(0)[channel] = by.centre;
    row(1)[channel] = by.slope;
    row(2)[channel] = by.shift;
  }
  static __device__ void put(int channel, const ChannelBackward& back) {  // in the three behind them
    row(3)[channel] = back.gain;
    row(4)[channel] = back.slope;
    row(5)[channel] = back.shift;
  }
  template <int vector>
  static __device__ void read(int channel, ChannelForward (&by)[vector]) {
    float numbers[3][vector];
    read(0, channel, numbers);
#pragma unroll
    for (int i = 0; i < vector; ++i) by[i] = {numbers[0][i], numbers[1][i], numbers[2][i]};
  }
  template <int vector>
  static __device__ void read(int channel, ChannelBackward (&back)[vector]) {
    float numbers[3][vector];
    read(3, channel, numbers);
#pragma unroll
    for (int i = 0; i < vector; ++i) back[i] = {numbers[0][i], numbers[1][i], numbers[2][i]};
  }

 private:
  template <int vector>
  static __device__ void read(int first, int channel, float (&numbers)[3][vector]) {
#pragma unroll
    for (int i = 0; i < 3; ++i) load_floats<vector>(row(first + i) + channel, numbers[i]);
  }
};

// y from z; written by the first of those that make it.
template <class Element>
struct NormalisingSource {
  NormalisedSource<Element> of;
  using Table = ChannelTable<3>;

  __device__ void prepare(int channels) const {
    for (int i = static_cast<int>(threadIdx.x); i < channels; i += threads) Table::put(i, of.by[i]);
  }
  template <int vector>
  [[nodiscard]] __device__ Pack<Element, vector> fetch(std::int64_t at) const {
    return load_pack<vector>(of.z + at);
  }
  template <int vector>
  __device__ void make(const Pack<Element, vector>& fetched, std::int64_t at, int channel, bool first,
                       float (&values)[vector]) const {
    ChannelForward by[vector];
    Table::read(channel, by);
    to_floats(fetched, values);
    normalise_and_activate(by, of.activation, values);
    round_floats<Element>(values);
    if (first) store_floats<vector>(of.y + at, values);
  }
};

// dz from dy and z, likewise.
template <class Element>
struct GradientSource {
  OutputGradient<Element> gradient;
  using Table = ChannelTable<6>;

  __device__ void prepare(int channels) const {
    for (int i = static_cast<int>(threadIdx.x); i < channels; i += threads) {
      Table::put(i, gradient.by[i]);
      Table::put(i, gradient.back[i]);
    }
  }
  template <int vector>
  [[nodiscard]] __device__ PackPair<Element, vector> fetch(std::int64_t at) const {
    return load_packs<vector>(gradient.z, gradient.dy, at);
  }
  template <int vector>
  __device__ void make(const PackPair<Element, vector>& fetched, std::int64_t at, int channel, bool first,
                       float (&values)[vector]) const {
    ChannelForward by[vector];
    ChannelBackward back[vector];
    Table::read(channel, by);
    Table::read(channel, back);
    float z[vector];
    to_floats(fetched.first, z);
    to_floats(fetched.second, values);
    gradient_before_norm(by, back, gradient.activation, z, values);
    round_floats<Element>(values);
    if (first) store_floats<vector>(gradient.dz + at, values);
  }
};

// Plain weights of the block's channels, `tap, source channel, destination channel`. Lanes take four
// destination channels × neighbours in memory: few share a bank. `fixed_taps`: 0 if they are not known here.
template <int fixed_taps>
__device__ void load_weights(const Gather& gather, const PictureTiles& tiles, int first_out,
                             const float* weights, float* to) {
  const int taps = fixed_taps > 0 ? fixed_taps : gather.first_tap[gather.phases()];
  const bool sources_are_near = gather.weight_in < gather.weight_out;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < tiles.channels * tiles.out(); i += threads) {
    const int quad = i / wide;
    const int by_channels = tiles.by_channels.quotient(quad);
    const int channel = sources_are_near ? quad - by_channels * tiles.channels : quad >> tiles.packs_log;
    const int pack = sources_are_near ? by_channels : quad & (tiles.packs() - 1);
    const int column = pack * wide + i % wide;
    const bool exists = channel < gather.in && first_out + column < gather.out;
    const float* const from = weights + (first_out + column) * gather.weight_out + channel * gather.weight_in;
    float* const place = to + channel * tiles.out_pitch() + column;
#pragma unroll
    for (int tap = 0; tap < taps; ++tap)
      place[tap * tiles.channels * tiles.out_pitch()] = exists ? from[gather.taps[tap].weight] : 0;
  }
}

// Where a few neighbouring elements of the pictures come from and go to, behind the first that is loaded.
struct FramePlace {
  int at = 0;
  int to = 0;
  int channel = 0;

  FramePlace() = default;
  __device__ FramePlace(const Gather& gather, const PictureTiles& tiles, int number, int vector) {
    const int line = tiles.by_row_vectors.quotient(number);
    const int picture = tiles.by_rows.quotient(line);
    const int row = line - picture * tiles.loaded_rows(gather);
    const int element = (number - line * tiles.row_vectors) * vector;
    const int column = tiles.by_in.quotient(element);
    channel = element - column * gather.in;
    at = (picture * gather.rows.source + row) * gather.columns.source * gather.in + element;
    to = ((picture * tiles.rows + row) * tiles.columns + column) * tiles.pitch + channel;
  }
};

// The pixels of `count` pictures into their frames. `at`: the first of them in the source. A thread reads some
// before it makes, and writes, the first: behind a store the compiler would start no read.
template <int vector, class Source>
__device__ void load_frames(const Gather& gather, const PictureTiles& tiles, int count, const Source& source,
                            std::int64_t at, float* frames) {
  constexpr int batch = 4;
  const bool first = blockIdx.y == 0;
  const int all = count * tiles.loaded_rows(gather) * tiles.row_vectors;
  at += (tiles.loaded_row() * gather.columns.source + tiles.loaded_column()) * gather.in;
  frames +=
      ((tiles.loaded_row() - tiles.first_row) * tiles.columns + tiles.loaded_column() - tiles.first_column) *
      tiles.pitch;
  for (int begin = static_cast<int>(threadIdx.x); begin < all; begin += batch * threads) {
    FramePlace places[batch];
    decltype(source.template fetch<vector>(at)) fetched[batch]{};
#pragma unroll
    for (int i = 0; i < batch; ++i) {
      if (begin + i * threads >= all) continue;
      places[i] = FramePlace(gather, tiles, begin + i * threads, vector);
      fetched[i] = source.template fetch<vector>(at + places[i].at);
    }
#pragma unroll
    for (int i = 0; i < batch; ++i) {
      if (begin + i * threads >= all) continue;
      float values[vector];
      source.make(fetched[i], at + places[i].at, places[i].channel, first, values);
      float* const to = frames + places[i].to;
      if (tiles.width == vector) {
        store_floats<vector>(to, values);
      } else {
#pragma unroll
        for (int j = 0; j < vector; ++j) to[j] = values[j];  // neighbouring pixels of one channel
      }
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
    phase = gather.phases() - 1;  // with a border of half a window the last has the most taps
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

// Steps [begin, end) of the sum: in the order of the weights, each with its shift within the frames.
template <int width>
__device__ void multiply(const PictureTiles& tiles, const Item& item, int begin, int end, const float* frames,
                         const int* shifts, const float* weights, float (&sums)[high][wide]) {
  const int out_pitch = tiles.out_pitch();
  const float* by_step = weights + begin * width * out_pitch + item.pack * wide;
#pragma unroll 2
  for (int step = begin; step < end; ++step) {
    const float* const window = frames + shifts[step];
    float sources[high][width];
    float by[width][wide];
#pragma unroll
    for (int i = 0; i < high; ++i) load_floats<width>(window + item.places[i], sources[i]);
#pragma unroll
    for (int k = 0; k < width; ++k) load_floats<wide>(by_step + k * out_pitch, by[k]);
    by_step += width * out_pitch;
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
template <class Element, class Source, int width, int vector>
__global__ void __launch_bounds__(threads, 2)
    conv_pictures(const Gather gather, const PictureTiles tiles, const ConvEnding<Element> ending,
                  const Source source, const float* weights, Element* destination) {
  __shared__ float slopes[PictureTiles::most_columns];
  __shared__ float moves[PictureTiles::most_columns];
  float* const scratch = dynamic_shared<float>();
  float* const weight_tile = scratch + tiles.scratch_floats();
  int* const shifts = reinterpret_cast<int*>(weight_tile + tiles.weight_floats(gather));
  float* const frames = weight_tile + tiles.weight_floats(gather) + tiles.step_floats(gather);
  const int thread = static_cast<int>(threadIdx.x);
  const int first_out = static_cast<int>(blockIdx.y) * tiles.out();
  const int a_team = tiles.team_threads();
  const int team = thread >> (PictureTiles::threads_log - tiles.teams_log);
  const int place = thread - team * a_team;
  const int tap_steps = tiles.tap_steps();

  source.prepare(gather.in);
  for (int i = thread; i < tiles.frame_packs(); i += threads) store_floats<4>(frames + 4 * i, {0, 0, 0, 0});
  for (int tap = thread; tap < gather.first_tap[gather.phases()]; tap += threads) {
    const int shift = (gather.taps[tap].row * tiles.columns + gather.taps[tap].column) * tiles.pitch;
    for (int i = 0; i < tap_steps; ++i) shifts[tap * tap_steps + i] = shift + i * width;
  }
  if (thread < tiles.out() && first_out + thread < gather.out) {
    const auto numbers = ending.channel(first_out + thread);
    slopes[thread] = numbers.slope;
    moves[thread] = numbers.shift;
  }
  if (gather.first_tap[gather.phases()] == 9) {
    load_weights<9>(gather, tiles, first_out, weights, weight_tile);
  } else {
    load_weights<0>(gather, tiles, first_out, weights, weight_tile);
  }
  const bool takes_sums = ending.sums.partial != nullptr;
  double first[wide] = {};
  double second[wide] = {};
  // A thread keeps to its channels.
  const int pack = place & (tiles.packs() - 1);
  const int channel = first_out + pack * wide;
  const int left = gather.out - channel;
  ChannelForward by[wide];
#pragma unroll
  for (int j = 0; ending.gradient_sums.z != nullptr && j < wide; ++j)
    by[j] = j < left ? ending.gradient_sums.by[channel + j] : ChannelForward{};

  for (int tile = static_cast<int>(blockIdx.x); tile * tiles.pictures < gather.pictures;
       tile += static_cast<int>(gridDim.x)) {
    const int picture = tile * tiles.pictures;
    const int count = std::min(tiles.pictures, gather.pictures - picture);
    __syncthreads();  // the frames are zero, or the tile before is done with
    load_frames<vector>(
        gather, tiles, count, source,
        static_cast<std::int64_t>(picture) * gather.rows.source * gather.columns.source * gather.in, frames);
    __syncthreads();
    const std::int64_t first_cell =
        static_cast<std::int64_t>(picture) * gather.rows.destination * gather.columns.destination;
    for (int round = 0; round < tiles.items; round += a_team) {  // one round where there are teams
      const Item item(gather, tiles, round + place, count);
      float sums[high][wide] = {};
      if (item.exists) {
        const int begin = gather.first_tap[item.phase] * tap_steps;
        const int steps = gather.first_tap[item.phase + 1] * tap_steps - begin;
        const int share = (steps + tiles.teams() - 1) >> tiles.teams_log;
        multiply<width>(tiles, item, begin + team * share, begin + std::min(steps, (team + 1) * share), frames,
                        shifts, weight_tile, sums);
      }
      if (tiles.teams() > 1) add_teams(tiles, team, place, scratch, sums);
      if (!item.exists || team > 0 || left <= 0) continue;
      typename ConvEnding<Element>::Channel channels[wide];
#pragma unroll
      for (int j = 0; j < wide; ++j) channels[j] = {slopes[pack * wide + j], moves[pack * wide + j]};
#pragma unroll
      for (int i = 0; i < high; ++i) {
        if (item.destinations[i] < 0) continue;
        const std::int64_t at = (first_cell + item.destinations[i]) * gather.out + channel;
        write_channels(ending, channels, sums[i], at, left, destination);
        if (ending.gradient_sums.z != nullptr) {
          float z[wide];
          load_floats<wide>(ending.gradient_sums.z + at, z);
          add_gradient_terms(ending.gradient_sums.activation, by, z, sums[i], first, second);
        } else if (takes_sums) {
          add_squares(sums[i], first, second);
        }
      }
    }
  }

  if (!takes_sums) return;
  __syncthreads();  // what was in the scratch is done with
  auto* const doubles = reinterpret_cast<double*>(scratch);
  const double total = block_totals<wide>(first, second, tiles.packs(), std::max(a_team, 32), doubles);
  const auto finish = [&](const auto& with) {
    finish_sums(total, tiles.out(), first_out, std::min(gather.out, first_out + tiles.out()), gather.out,
                static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x), ending.sums.counters + blockIdx.y,
                ending.sums, with, doubles);
  };
  if (ending.gradient_sums.z != nullptr) {
    finish(ending.gradient_sums.gradients);
  } else {
    finish(ending.statistics);
  }
}

// What a block loads from, for what the host names.
template <class Element>
PlainSource<Element> loaded_from(const Element* source) {
  return {source};
}
template <class Element>
NormalisingSource<Element> loaded_from(const NormalisedSource<Element>& source) {
  return {source};
}
template <class Element>
GradientSource<Element> loaded_from(const OutputGradient<Element>& source) {
  return {source};
}

}  // namespace

template <class Element, class Source>
void launch_conv_pictures(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                          const Source& source, const float* weights, Element* destination) {
  const auto from = loaded_from(source);
  using From = std::remove_cv_t<decltype(from)>;
  const PictureTiles tiles = PictureTiles::of(context, gather).value();
  const int most_blocks = std::max(1, most_parts / tiles.out_tiles);
  const int blocks = std::min((gather.pictures + tiles.pictures - 1) / tiles.pictures, most_blocks);
  const Grid grid{{static_cast<unsigned>(blocks), static_cast<unsigned>(tiles.out_tiles), 1},
                  {threads, 1, 1},
                  tiles.shared_bytes(gather)};
  const auto start = [&](auto* kernel) {
    launch(context, "conv pictures", grid, kernel, gather, tiles, ending, from, weights, destination);
  };
  if constexpr (!std::is_same_v<From, PlainSource<Element>>) {  // makes_source()
    start(&conv_pictures<Element, From, 4, 4>);
  } else if (tiles.width == 1) {
    start(tiles.vector == 4 ? &conv_pictures<Element, From, 1, 4> : &conv_pictures<Element, From, 1, 1>);
  } else {
    start(tiles.vector == 4 ? &conv_pictures<Element, From, 4, 4> : &conv_pictures<Element, From, 4, 1>);
  }
}

template void launch_conv_pictures(const CudaContext&, const Gather&, const ConvEnding<float>&,
                                   const float* const&, const float*, float*);
template void launch_conv_pictures(const CudaContext&, const Gather&, const ConvEnding<Bf16>&,
                                   const Bf16* const&, const float*, Bf16*);
template void launch_conv_pictures(const CudaContext&, const Gather&, const ConvEnding<float>&,
                                   const NormalisedSource<float>&, const float*, float*);
template void launch_conv_pictures(const CudaContext&, const Gather&, const ConvEnding<Bf16>&,
                                   const NormalisedSource<Bf16>&, const float*, Bf16*);
template void launch_conv_pictures(const CudaContext&, const Gather&, const ConvEnding<float>&,
                                   const OutputGradient<float>&, const float*, float*);
template void launch_conv_pictures(const CudaContext&, const Gather&, const ConvEnding<Bf16>&,
                                   const OutputGradient<Bf16>&, const float*, Bf16*);

}  // namespace descent
