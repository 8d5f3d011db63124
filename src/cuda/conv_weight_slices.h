// Slices of cells for a convolution's weight gradient, on their way through a thread's registers into shared
// memory: they are fetched while the slice before is multiplied. Channels lie innermost in memory and in the
// slices, so that four of them move as one.
#pragma once

#include "cuda/conv_passes.h"
#include "cuda/pack.h"

#include <algorithm>
#include <cstdint>

namespace descent {

inline constexpr int weight_threads = 256;  // a power of two
inline constexpr int most_slice_outputs = 32;
inline constexpr int most_dz_floats = 2048;  // of a slice
// So many channels move at once, so many rows of weights (channels × taps) a tile has at most, and so many
// floats of x lie in a slice.
constexpr int most_weight_depth(int x_width) {
  return x_width == 4 ? 72 : 36;
}
constexpr int most_x_floats(int x_width) {
  return 64 * most_weight_depth(x_width);
}
// Rows of weights a thread sums up, for four output channels.
constexpr int weight_rows(int x_width) {
  return x_width == 4 ? 8 : 4;
}

// One block's tile of weights.
struct WeightTile {
  int group, output, channel, first_tap, taps, channels;

  __device__ WeightTile(const Gather& gather, const WeightTiles& tiles, int number) {
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

// What all threads of a block look up.
struct WeightTable {
  int rows[most_weight_depth(4)];  // shifts of the tile's taps
  int columns[most_weight_depth(4)];
  float by[3][most_slice_outputs];    // a ChannelForward of each output, which shared memory cannot hold
  float back[3][most_slice_outputs];  // a ChannelBackward

  template <class Element>
  __device__ void fill(const Gather& gather, const WeightTile& tile, const WeightTiles& tiles,
                       const OutputGradient<Element>& gradient) {
    const int thread = static_cast<int>(threadIdx.x);
    if (thread < tile.taps) {
      const int tap = tile.first_tap + thread;
      const int row = tap / gather.columns.kernel;
      rows[thread] = gather.rows.shift(0, row);
      columns[thread] = gather.columns.shift(0, tap - row * gather.columns.kernel);
    }
    const int output = thread - weight_threads / 2;  // other threads than those of the taps
    if (output < 0 || output >= tiles.outputs || gradient.by == nullptr) return;
    const bool exists = tile.output + output < gather.out;
    const int channel = tile.group * gather.out + tile.output + output;
    const ChannelForward forward = exists ? gradient.by[channel] : ChannelForward{};
    const ChannelBackward backward = exists ? gradient.back[channel] : ChannelBackward{};
    by[0][output] = forward.centre;
    by[1][output] = forward.slope;
    by[2][output] = forward.shift;
    back[0][output] = backward.gain;
    back[1][output] = backward.slope;
    back[2][output] = backward.shift;
  }

  // From dy to dz, of outputs from `output` on.
  template <class Element, int width>
  __device__ void differentiate(const OutputGradient<Element>& of, int output, const float (&z)[width],
                                float (&gradient)[width]) const {
    if (of.z == nullptr) return;
    if (of.by == nullptr) return activation_gradient(of.activation, z, gradient);
    ChannelForward forward[width];
    ChannelBackward backward[width];
#pragma unroll
    for (int i = 0; i < width; ++i) {
      forward[i] = {by[0][output + i], by[1][output + i], by[2][output + i]};
      backward[i] = {back[0][output + i], back[1][output + i], back[2][output + i]};
    }
    gradient_before_norm(forward, backward, of.activation, z, gradient);
  }
};

// What a thread carries of x: under the taps of cells from `cell` on. In the slice a cell has `x_pitch` floats,
// tap · channels + channel.
template <class Element, int width>
struct CarriedSources {
  static constexpr int items = (most_x_floats(width) / width + weight_threads - 1) / weight_threads;
  float values[items][width];

  __device__ void fetch(const Gather& gather, const WeightTiles& tiles, const WeightTile& tile,
                        const WeightTable& table, int cell, int end, const Element* x) {
    const int thread = static_cast<int>(threadIdx.x);
    const int channel = (thread & ((1 << tiles.x_packs_log) - 1)) * width;
    const int step = tiles.x_packs_log + tiles.cells_log;
    const Element* from = nullptr;
    int origin_row = 0;
    int origin_column = 0;
#pragma unroll
    for (int i = 0; i < items; ++i) {
#pragma unroll
      for (int j = 0; j < width; ++j) values[i][j] = 0;
      const int item = thread + i * weight_threads;
      const int tap = item >> step;
      if (tap >= tile.taps) continue;
      if (i == 0 || (weight_threads >> step) == 0) {  // else the cell stays the same
        const int number = cell + ((item >> tiles.x_packs_log) & (tiles.cells - 1));
        const GatherCell at(gather, 0, number < end ? number : 0);
        const bool exists = number < end && channel < tile.channels;
        from = exists ? x +
                            static_cast<std::int64_t>(at.picture) * gather.rows.source * gather.columns.source *
                                gather.source_channels() +
                            tile.group * gather.in + tile.channel + channel
                      : nullptr;
        origin_row = at.origin_row;
        origin_column = at.origin_column;
      }
      const int row = origin_row + table.rows[tap];
      const int column = origin_column + table.columns[tap];
      if (from == nullptr || row < 0 || row >= gather.rows.source || column < 0 ||
          column >= gather.columns.source)
        continue;
      load_floats<width>(
          from + static_cast<std::int64_t>(row * gather.columns.source + column) * gather.source_channels(),
          values[i]);
    }
  }

  __device__ void put(const WeightTiles& tiles, const WeightTile& tile, float* slice) const {
    const int thread = static_cast<int>(threadIdx.x);
    const int channel = (thread & ((1 << tiles.x_packs_log) - 1)) * width;
#pragma unroll
    for (int i = 0; i < items; ++i) {
      const int item = thread + i * weight_threads;
      const int tap = item >> (tiles.x_packs_log + tiles.cells_log);
      if (tap >= tile.taps) continue;
      const int place = (item >> tiles.x_packs_log) & (tiles.cells - 1);
      store_floats<width>(slice + place * tiles.x_pitch() + tap * tiles.channels + channel, values[i]);
    }
  }
};

// What a thread carries of dy and z; dz is made when it is put down. In the slice a cell has `outputs` floats.
template <class Element, int width>
struct CarriedGradients {
  static constexpr int items = most_dz_floats / width / weight_threads;
  float dy[items][width];
  float z[items][width];

  struct Item {
    int place, output;
    bool exists;
    std::int64_t at;

    __device__ Item(const Gather& gather, const WeightTiles& tiles, const WeightTile& tile, int cell, int end,
                    int number) {
      place = number >> tiles.dz_packs_log;
      output = (number & ((1 << tiles.dz_packs_log) - 1)) * width;
      exists = place < tiles.cells && cell + place < end && tile.output + output < gather.out;
      at = static_cast<std::int64_t>(cell + place) * gather.destination_channels() + tile.group * gather.out +
           tile.output + output;
    }
  };

  __device__ void fetch(const Gather& gather, const WeightTiles& tiles, const WeightTile& tile, int cell,
                        int end, const OutputGradient<Element>& gradient) {
    const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int i = 0; i < items; ++i) {
#pragma unroll
      for (int j = 0; j < width; ++j) dy[i][j] = z[i][j] = 0;
      const Item item(gather, tiles, tile, cell, end, thread + i * weight_threads);
      if (!item.exists) continue;
      load_floats<width>(gradient.dy + item.at, dy[i]);
      if (gradient.z != nullptr) load_floats<width>(gradient.z + item.at, z[i]);
    }
  }

  __device__ void put(const Gather& gather, const WeightTiles& tiles, const WeightTile& tile,
                      const WeightTable& table, int cell, int end, const OutputGradient<Element>& gradient,
                      float* slice) const {
    const int thread = static_cast<int>(threadIdx.x);
    const bool writes = gradient.dz != nullptr && tile.is_first();
#pragma unroll
    for (int i = 0; i < items; ++i) {
      const Item item(gather, tiles, tile, cell, end, thread + i * weight_threads);
      if (item.place >= tiles.cells) continue;
      float values[width] = {};
      if (item.exists) {
#pragma unroll
        for (int j = 0; j < width; ++j) values[j] = dy[i][j];
        table.differentiate(gradient, item.output, z[i], values);
        round_floats<Element>(values);
        if (writes) store_floats<width>(gradient.dz + item.at, values);
      }
      store_floats<width>(slice + item.place * tiles.outputs + item.output, values);
    }
  }
};

}  // namespace descent
