// How a convolution of many small pictures is cut into blocks that hold whole ones in shared memory, and how
// that memory is laid out. The kernel: conv_pictures.cu.
#pragma once

#include "cuda/context.h"
#include "cuda/divider.h"
#include "cuda/gather.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace descent {

struct PictureTiles {
  static constexpr int threads_log = 8;
  static constexpr int threads = 1 << threads_log;
  static constexpr int warps = threads / 32;
  static constexpr int high = 4;           // cells that a thread sums up at once
  static constexpr int wide = 4;           // and destination channels of each
  static constexpr int most_columns = 64;  // destination channels of a block
  static constexpr int most_source_channels =
      64;  // that numbers are kept of, where sources are made on the way

  int pictures = 1;  // of a block at a time
  // The frame: a picture with what windows reach beyond it.
  int first_row = 0;
  int first_column = 0;
  int rows = 1;
  int columns = 1;
  int width = 1;      // channels that are multiplied in one step: four, or one where there are fewer
  int channels = 1;   // of a pixel, zeros behind the source's
  int pitch = 1;      // floats from pixel to pixel: neighbours keep to banks of their own
  int packs_log = 0;  // of fours of destination channels of a block
  int out_tiles = 1;  // blocks side by side for all of them
  int teams_log = 0;  // of teams that share the steps of a sum
  int items = 0;      // of a tile, of all phases: four cells × four channels
  int quads[Gather::most_phases] = {};  // of a phase's cells
  // Source rows as they are loaded: `vector` floats at once.
  int vector = 1;
  int row_vectors = 1;
  Divider by_row_vectors;
  Divider by_rows;  // that are loaded of a picture
  Divider by_in;    // source channels
  Divider by_channels;

  // None where pictures are few or too large.
  [[nodiscard]] static std::optional<PictureTiles> of(const CudaContext& context, const Gather& gather);

  [[nodiscard]] constexpr int packs() const { return 1 << packs_log; }
  [[nodiscard]] constexpr int out() const { return wide << packs_log; }
  [[nodiscard]] constexpr int teams() const { return 1 << teams_log; }
  [[nodiscard]] constexpr int team_threads() const { return threads >> teams_log; }
  [[nodiscard]] constexpr int frame() const { return rows * columns * pitch; }
  [[nodiscard]] constexpr int out_pitch() const { return out() + 4; }
  [[nodiscard]] constexpr int tap_steps() const { return channels / width; }
  // Of the source, what frames hold.
  [[nodiscard]] constexpr int loaded_row() const { return std::max(first_row, 0); }
  [[nodiscard]] constexpr int loaded_column() const { return std::max(first_column, 0); }
  [[nodiscard]] constexpr int loaded_rows(const Gather& gather) const {
    return std::min(first_row + rows, gather.rows.source) - loaded_row();
  }
  [[nodiscard]] constexpr int loaded_columns(const Gather& gather) const {
    return std::min(first_column + columns, gather.columns.source) - loaded_column();
  }

  // Whether every source pixel is loaded: some may lie under no window.
  [[nodiscard]] constexpr bool loads_all(const Gather& gather) const {
    return loaded_rows(gather) == gather.rows.source && loaded_columns(gather) == gather.columns.source;
  }

  // Shared memory in floats: sums of teams and, when those are done with, of channels; weights; steps; frames.
  [[nodiscard]] constexpr int scratch_floats() const {
    return std::max({(teams() - 1) * team_threads() * high * wide, warps * 2 * out() * 2, 4 * threads});
  }
  [[nodiscard]] constexpr int weight_floats(const Gather& gather) const {
    return gather.kernel() * channels * out_pitch();
  }
  [[nodiscard]] constexpr int step_floats(const Gather& gather) const {
    return (gather.kernel() * tap_steps() + 3) / 4 * 4;
  }
  [[nodiscard]] constexpr int frame_packs() const { return (pictures * frame() + 3) / 4; }
  [[nodiscard]] constexpr std::size_t shared_bytes(const Gather& gather) const {
    return static_cast<std::size_t>(scratch_floats() + weight_floats(gather) + step_floats(gather) +
                                    4 * frame_packs()) *
           sizeof(float);
  }
};

}  // namespace descent
