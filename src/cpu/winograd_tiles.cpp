// Bound: bytes. A patch is read about 36 / 16 times over its pixels, from the first cache, and its numbers at
// the points are written once; each of the two lines of arithmetic is 12 operations on 6 numbers. Measured as
// winograd_products.cpp says: patches 19 to 24 GB/s, maps 35 to 41, where copies in cache reach 190, together
// 24 to 29 % of such a convolution: slabs of 8 MB lie in the third cache. With tiles innermost it is the same.
#include "cpu/winograd_tiles.h"

#include "cpu/blocking.h"
#include "cpu/registers.h"
#include "cpu/simd.h"
#include "cpu/winograd_transforms.h"

#include <algorithm>
#include <array>

namespace descent {

namespace {

constexpr std::size_t tile_size = winograd_tile;
constexpr std::size_t patch_size = winograd_patch;

}  // namespace

TiledMaps::TiledMaps(const Shape& shape, Layout layout, Extent offset, const WinogradTiles& tiles)
    : tiles_(tiles), offset_(offset), channels_(shape[1]), height_(shape[2]), width_(shape[3]) {
  const Blocking blocking(shape, layout);
  block_channels_ = blocking.inner;
  block_ = blocking.cells() * blocking.inner;
}

TiledMaps::Place TiledMaps::place(std::int64_t tile) const {
  const std::int64_t of_picture = tile % (tiles_.down * tiles_.across);
  return {tile / (tiles_.down * tiles_.across), of_picture / tiles_.across * winograd_tile + offset_.height,
          of_picture % tiles_.across * winograd_tile + offset_.width};
}

template <class Register, std::size_t size>
[[gnu::always_inline]] inline void TiledMaps::read(const float* from, const Place& place,
                                                   Register (&patch)[size][size]) const {
  constexpr auto side = static_cast<std::int64_t>(size);
  const bool inside =
      place.row >= 0 && place.row + side <= height_ && place.column >= 0 && place.column + side <= width_;
  const auto at = [&](std::int64_t row, std::int64_t column) {
    return from + (row * width_ + column) * block_channels_;
  };
  if (inside) {
    const float* line = at(place.row, place.column);
#pragma GCC unroll 6
    for (std::size_t row = 0; row < size; ++row, line += width_ * block_channels_) {
      const float* pixel = line;
#pragma GCC unroll 6
      for (std::size_t column = 0; column < size; ++column, pixel += block_channels_) {
        patch[row][column] = load_register<Register>(pixel);
      }
    }
    return;
  }
  const auto step = [](std::int64_t first, std::size_t steps) {
    return first + static_cast<std::int64_t>(steps);
  };
  for (std::size_t i = 0; i < size; ++i) {
    const std::int64_t row = step(place.row, i);
    const bool row_exists = row >= 0 && row < height_;
    for (std::size_t k = 0; k < size; ++k) {
      const std::int64_t column = step(place.column, k);
      const bool exists = row_exists && column >= 0 && column < width_;
      patch[i][k] = exists ? load_register<Register>(at(row, column)) : Register{};
    }
  }
}

template <class Register, std::size_t size, class Rule>
[[gnu::always_inline]] inline void TiledMaps::to_points(const float* maps, const TileStretch& stretch,
                                                        const PointsSlab& slab, Rule rule) const {
  constexpr std::int64_t width = register_width<Register>;
  for (std::int64_t tile = 0; tile < stretch.count; ++tile) {
    const Place at = place(stretch.first + tile);
    const float* const picture = maps + at.picture * channels_ * height_ * width_;
    for (std::int64_t channel = 0; channel < channels_; channel += width) {
      Register patch[size][size];
      read<Register, size>(picture + channel_at(channel), at, patch);
      Register points[patch_size][patch_size];
      in_two_dimensions(patch, points, rule);
      float* to = slab.at(0, channel / winograd_block, tile) + channel % winograd_block;
#pragma GCC unroll 6
      for (std::size_t row = 0; row < patch_size; ++row) {
#pragma GCC unroll 6
        for (std::size_t column = 0; column < patch_size; ++column) {
          store_register(to, points[row][column]);
          to += slab.point;
        }
      }
    }
  }
}

template <class Register>
[[gnu::always_inline]] inline void TiledMaps::to_maps(const PointsSlab& slab, const TileStretch& stretch,
                                                      const After& after, float* maps) const {
  constexpr std::int64_t width = register_width<Register>;
  for (std::int64_t tile = 0; tile < stretch.count; ++tile) {
    const Place at = place(stretch.first + tile);
    const std::int64_t rows = std::min(winograd_tile, height_ - at.row);
    const std::int64_t columns = std::min(winograd_tile, width_ - at.column);
    const std::int64_t first =
        at.picture * channels_ * height_ * width_ + (at.row * width_ + at.column) * block_channels_;
    for (std::int64_t channel = 0; channel < channels_; channel += width) {
      const float* from = slab.at(0, channel / winograd_block, tile) + channel % winograd_block;
      Register points[patch_size][patch_size];
#pragma GCC unroll 6
      for (std::size_t row = 0; row < patch_size; ++row) {
#pragma GCC unroll 6
        for (std::size_t column = 0; column < patch_size; ++column) {
          points[row][column] = load_register<Register>(from);
          from += slab.point;
        }
      }
      Register pixels[tile_size][tile_size];
      in_two_dimensions(
          points, pixels,
          [](const std::array<Register, 6>& m) __attribute__((always_inline)) { return from_points(m); });
      const Register shift =
          after.shifts == nullptr ? Register{} : load_register<Register>(after.shifts + channel);
      for (std::int64_t row = 0; row < rows; ++row) {
        std::int64_t to = first + channel_at(channel) + row * width_ * block_channels_;
        for (std::int64_t column = 0; column < columns; ++column, to += block_channels_) {
          Register value = pixels[row][column] + shift;
          if (after.residual != nullptr) value += load_register<Register>(after.residual + to);
          if (after.activation != nullptr) value = after.activation->value(value);
          store_register(maps + to, value);
        }
      }
    }
  }
}

struct TiledMaps::Loops {
  template <class Register>
  [[gnu::always_inline]] static void patches(const TiledMaps& of, const float* maps, const TileStretch& stretch,
                                             const PointsSlab& slab) {
    of.to_points<Register, patch_size>(
        maps, stretch, slab,
        [](const std::array<Register, 6>& d) __attribute__((always_inline)) { return at_points(d); });
  }
  template <class Register>
  [[gnu::always_inline]] static void gradients(const TiledMaps& of, const float* maps,
                                               const TileStretch& stretch, const PointsSlab& slab) {
    of.to_points<Register, tile_size>(
        maps, stretch, slab, [](const std::array<Register, 4>& dy) __attribute__((always_inline)) {
          return gradients_at_points(dy);
        });
  }

  DESCENT_AVX512 static void wide_patches(const TiledMaps& of, const float* maps, const TileStretch& stretch,
                                          const PointsSlab& slab) {
    patches<Vector>(of, maps, stretch, slab);
  }
  DESCENT_CLONES static void narrow_patches(const TiledMaps& of, const float* maps, const TileStretch& stretch,
                                            const PointsSlab& slab) {
    patches<Half>(of, maps, stretch, slab);
  }
  DESCENT_AVX512 static void wide_gradients(const TiledMaps& of, const float* maps, const TileStretch& stretch,
                                            const PointsSlab& slab) {
    gradients<Vector>(of, maps, stretch, slab);
  }
  DESCENT_CLONES static void narrow_gradients(const TiledMaps& of, const float* maps,
                                              const TileStretch& stretch, const PointsSlab& slab) {
    gradients<Half>(of, maps, stretch, slab);
  }
  DESCENT_AVX512 static void wide_maps(const TiledMaps& of, const PointsSlab& slab, const TileStretch& stretch,
                                       const After& after, float* maps) {
    of.to_maps<Vector>(slab, stretch, after, maps);
  }
  DESCENT_CLONES static void narrow_maps(const TiledMaps& of, const PointsSlab& slab,
                                         const TileStretch& stretch, const After& after, float* maps) {
    of.to_maps<Half>(slab, stretch, after, maps);
  }
};

namespace {

[[nodiscard]] bool wide(std::int64_t neighbours) {
  return has_avx512_registers() && neighbours % register_width<Vector> == 0;
}

}  // namespace

void TiledMaps::patches_to_points(const float* maps, const TileStretch& stretch, const PointsSlab& slab) const {
  (wide(block_channels_) ? Loops::wide_patches : Loops::narrow_patches)(*this, maps, stretch, slab);
}

void TiledMaps::gradients_to_points(const float* maps, const TileStretch& stretch,
                                    const PointsSlab& slab) const {
  (wide(block_channels_) ? Loops::wide_gradients : Loops::narrow_gradients)(*this, maps, stretch, slab);
}

void TiledMaps::points_to_maps(const PointsSlab& slab, const TileStretch& stretch, const After& after,
                               float* maps) const {
  (wide(block_channels_) ? Loops::wide_maps : Loops::narrow_maps)(*this, slab, stretch, after, maps);
}

}  // namespace descent
