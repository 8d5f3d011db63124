// Winograd's convolution, between maps and points: a map is cut into tiles of 4 × 4 pixels, whose numbers at
// the 6 × 6 points lie in a slab.
#pragma once

#include "cpu/layouts.h"
#include "descent/tensor.h"
#include "plan/relu_rule.h"

#include <cstddef>
#include <cstdint>

namespace descent {

inline constexpr std::int64_t winograd_taps = 3;     // a side of the kernel
inline constexpr std::int64_t winograd_points = 36;  // both sides'
inline constexpr std::int64_t winograd_tile = 4;     // pixels a side that are computed together
inline constexpr std::int64_t winograd_patch = 6;    // and those that they are computed from
inline constexpr std::int64_t winograd_block = 16;   // channels that lie together

// A stretch of tiles, of those of all pictures.
struct TileStretch {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// The tiles of the maps that a convolution writes.
struct WinogradTiles {
  std::int64_t pictures = 0;
  std::int64_t down = 0;
  std::int64_t across = 0;

  explicit WinogradTiles(const Shape& destination)
      : pictures(destination[0]),
        down((destination[2] - 1) / winograd_tile + 1),
        across((destination[3] - 1) / winograd_tile + 1) {}
  [[nodiscard]] std::int64_t count() const { return pictures * down * across; }
};

// Points × blocks of channels × tiles × channels of a block. From one point to the next is an odd number of
// blocks: one tile's numbers then meet different sets of a cache.
struct PointsSlab {
  float* data = nullptr;
  std::int64_t tiles = 0;
  std::int64_t point = 0;  // from one to the next, in floats

  PointsSlab(float* memory, std::int64_t channels, std::int64_t all_tiles)
      : data(memory), tiles(all_tiles), point((channels / winograd_block * all_tiles | 1) * winograd_block) {}
  [[nodiscard]] static std::int64_t floats(std::int64_t channels, std::int64_t tiles) {
    return winograd_points * PointsSlab(nullptr, channels, tiles).point;
  }
  [[nodiscard]] std::int64_t block() const { return tiles * winograd_block; }  // from one to the next
  [[nodiscard]] float* at(std::int64_t which_point, std::int64_t which_block, std::int64_t tile) const {
    return data + which_point * point + which_block * block() + tile * winograd_block;
  }
  // The same with `tile` as its first.
  [[nodiscard]] PointsSlab from_tile(std::int64_t tile) const {
    PointsSlab rest = *this;
    rest.data += tile * winograd_block;
    return rest;
  }
};

// Those of a convolution's source and destination, one behind the other.
struct SlabPair {
  PointsSlab source;
  PointsSlab destination;

  SlabPair(float* memory, std::int64_t inputs, std::int64_t outputs, std::int64_t tiles)
      : source(memory, inputs, tiles),
        destination(memory + PointsSlab::floats(inputs, tiles), outputs, tiles) {}
  [[nodiscard]] static std::int64_t floats(std::int64_t inputs, std::int64_t outputs, std::int64_t tiles) {
    return PointsSlab::floats(inputs, tiles) + PointsSlab::floats(outputs, tiles);
  }
};

// The maps of a tensor in nhwc, nchw8c or nchw16c, whose channels are a multiple of 16.
class TiledMaps {
 public:
  // `offset`: where the patch of the first tile begins, in rows and columns; what lies outside is zero.
  TiledMaps(const Shape& shape, Layout layout, Extent offset, const WinogradTiles& tiles);

  // Into the slab's first tiles: Bᵀ·d·B of the patches of 6 × 6, or A·dy·Aᵀ of the tiles themselves.
  void patches_to_points(const float* maps, const TileStretch& stretch, const PointsSlab& slab) const;
  void gradients_to_points(const float* maps, const TileStretch& stretch, const PointsSlab& slab) const;

  // The maps from Aᵀ·m·A: what is added behind it, channel by channel or number by number, and the activation
  // may be null.
  struct After {
    const float* shifts = nullptr;
    const float* residual = nullptr;
    const ReluRule* activation = nullptr;
  };
  void points_to_maps(const PointsSlab& slab, const TileStretch& stretch, const After& after,
                      float* maps) const;

 private:
  // Where a tile lies in its picture: its first pixel may be outside.
  struct Place {
    std::int64_t picture = 0;
    std::int64_t row = 0;
    std::int64_t column = 0;
  };
  [[nodiscard]] Place place(std::int64_t tile) const;
  [[nodiscard]] std::int64_t channel_at(std::int64_t channel) const {
    return channel / block_channels_ * block_ + channel % block_channels_;
  }

  template <class Register, std::size_t size>
  void read(const float* from, const Place& place, Register (&patch)[size][size]) const;
  template <class Register, std::size_t size, class Rule>
  void to_points(const float* maps, const TileStretch& stretch, const PointsSlab& slab, Rule rule) const;
  template <class Register>
  void to_maps(const PointsSlab& slab, const TileStretch& stretch, const After& after, float* maps) const;
  struct Loops;  // compiled for several instruction sets

  WinogradTiles tiles_;
  Extent offset_;
  std::int64_t channels_;
  std::int64_t height_;
  std::int64_t width_;
  std::int64_t block_channels_;  // neighbours; also from one pixel to the next, in floats
  std::int64_t block_;           // from one block of channels to the next, in floats
};

}  // namespace descent
