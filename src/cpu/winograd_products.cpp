// Idea: as in conv_pixels.cpp, the sums of a few tiles × a panel of outputs stay in registers over all inputs;
// a number of v, broadcast, meets a vector or two of weights. A panel of weights (64 bytes an input with AVX2)
// stays in the first cache for all tiles. Bound: arithmetic; 12 sums of AVX2's 16 registers are 12
// multiply-adds for 8 reads, 24 of AVX-512's 32 for 14. Measured with two threads of a Zen 4 (peak 236
// GFLOP/s), 128 channels at 28×28, by profiles of bench of tools/networks/winograd.toml, batch 24: 220 to 228
// GFLOP/s, 0.93 to 0.97 of it; the sums of weights 178, 0.75.
#include "cpu/winograd_products.h"

#include "cpu/registers.h"
#include "cpu/simd.h"
#include "cpu/winograd_transforms.h"

#include <array>
#include <cstddef>

namespace descent {

namespace {

constexpr std::int64_t taps = winograd_taps * winograd_taps;  // of a kernel

// Tiles whose sums stay in registers.
template <class Register>
inline constexpr int most_tiles = register_width<Register> == 16 ? 12 : 6;

// One product's addresses.
struct Product {
  const float* v;
  std::int64_t v_block;
  std::int64_t blocks;  // of inputs
  const float* u;
  float* m;
  std::int64_t m_block;
};

template <class Register, int columns, int rows>
[[gnu::always_inline]] inline void multiply_tiles(const Product& product, std::int64_t tile) {
  constexpr std::int64_t width = register_width<Register>;
  Register sums[std::size_t{columns}][std::size_t{rows}] = {};
  const float* u = product.u;
  for (std::int64_t block = 0; block < product.blocks; ++block) {
    const float* v = product.v + block * product.v_block + tile * winograd_block;
    for (std::int64_t input = 0; input < winograd_block; ++input, ++v, u += columns * width) {
      Register weight[std::size_t{columns}];
#pragma GCC unroll 2
      for (int c = 0; c < columns; ++c) weight[c] = load_register<Register>(u + c * width);
#pragma GCC unroll 12
      for (int r = 0; r < rows; ++r) {
        const float read = v[r * winograd_block];
#pragma GCC unroll 2
        for (int c = 0; c < columns; ++c) sums[c][r] += read * weight[c];
      }
    }
  }
#pragma GCC unroll 2
  for (int c = 0; c < columns; ++c) {
    const std::int64_t channel = c * width;
    float* const m = product.m + channel / winograd_block * product.m_block + tile * winograd_block +
                     channel % winograd_block;
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) store_register(m + r * winograd_block, sums[c][r]);
  }
}

// The last tiles, fewer than `rows`.
template <class Register, int columns, int rows>
[[gnu::always_inline]] inline void multiply_rest(const Product& product, std::int64_t tile, std::int64_t rest) {
  if constexpr (rows > 0) {
    if (rest == rows) return multiply_tiles<Register, columns, rows>(product, tile);
    multiply_rest<Register, columns, rows - 1>(product, tile, rest);
  }
}

template <class Register, int columns>
[[gnu::always_inline]] inline void multiply_all(const Product& product, std::int64_t tiles) {
  constexpr int rows = most_tiles<Register>;
  std::int64_t tile = 0;
  for (; tile + rows <= tiles; tile += rows) multiply_tiles<Register, columns, rows>(product, tile);
  multiply_rest<Register, columns, rows - 1>(product, tile, tiles - tile);
}

DESCENT_AVX512 void multiply_two_wide(const Product& product, std::int64_t tiles) {
  multiply_all<Vector, 2>(product, tiles);
}
DESCENT_AVX512 void multiply_one_wide(const Product& product, std::int64_t tiles) {
  multiply_all<Vector, 1>(product, tiles);
}
DESCENT_CLONES void multiply_narrow(const Product& product, std::int64_t tiles) {
  multiply_all<Half, 2>(product, tiles);
}

// The weights' gradient at one point: inputs [first, first + rows) of a block × the outputs of one.
template <class Register, int rows>
[[gnu::always_inline]] inline void add_outer_products(const float* v, const float* z, std::int64_t tiles,
                                                      float* to) {
  constexpr std::int64_t width = register_width<Register>;
  constexpr int columns = static_cast<int>(winograd_block / width);
  Register sums[std::size_t{columns}][std::size_t{rows}] = {};
  for (std::int64_t tile = 0; tile < tiles; ++tile, v += winograd_block, z += winograd_block) {
    Register gradient[std::size_t{columns}];
#pragma GCC unroll 2
    for (int c = 0; c < columns; ++c) gradient[c] = load_register<Register>(z + c * width);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const float read = v[r];
#pragma GCC unroll 2
      for (int c = 0; c < columns; ++c) sums[c][r] += read * gradient[c];
    }
  }
#pragma GCC unroll 2
  for (int c = 0; c < columns; ++c) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) store_register(to + r * winograd_block + c * width, sums[c][r]);
  }
}

template <class Register>
[[gnu::always_inline]] inline void sums_at_point(const float* v, const float* z, std::int64_t tiles,
                                                 float* to) {
  if constexpr (register_width<Register> == winograd_block) {
    add_outer_products<Register, 16>(v, z, tiles, to);
  } else {
    add_outer_products<Register, 6>(v, z, tiles, to);
    add_outer_products<Register, 6>(v + 6, z, tiles, to + 6 * winograd_block);
    add_outer_products<Register, 4>(v + 12, z, tiles, to + 12 * winograd_block);
  }
}

template <class Register>
[[gnu::always_inline]] inline void add_sums(const PointsSlab& v, const PointsSlab& z, std::int64_t tiles,
                                            std::int64_t input_block, std::int64_t output_block, bool add,
                                            float* sums) {
  constexpr std::int64_t width = register_width<Register>;
  constexpr std::int64_t numbers = winograd_block * winograd_block;
  alignas(64) float at_points[winograd_points * numbers];
  for (std::int64_t point = 0; point < winograd_points; ++point) {
    sums_at_point<Register>(v.at(point, input_block, 0), z.at(point, output_block, 0), tiles,
                            at_points + point * numbers);
  }
  for (std::int64_t i = 0; i < numbers; i += width) {
    Register points[6][6];
    for (int point = 0; point < 36; ++point) {
      points[point / 6][point % 6] = load_register<Register>(at_points + point * numbers + i);
    }
    Register gradient[3][3];
    in_two_dimensions(
        points, gradient,
        [](const std::array<Register, 6>& u) __attribute__((always_inline)) { return weight_gradients(u); });
    for (int tap = 0; tap < taps; ++tap) {
      auto& to = *reinterpret_cast<Register*>(sums + tap * numbers + i);
      to = add ? to + gradient[tap / 3][tap % 3] : gradient[tap / 3][tap % 3];
    }
  }
}

DESCENT_AVX512 void add_sums_wide(const PointsSlab& v, const PointsSlab& z, std::int64_t tiles,
                                  std::int64_t input_block, std::int64_t output_block, bool add, float* sums) {
  add_sums<Vector>(v, z, tiles, input_block, output_block, add, sums);
}
DESCENT_CLONES void add_sums_narrow(const PointsSlab& v, const PointsSlab& z, std::int64_t tiles,
                                    std::int64_t input_block, std::int64_t output_block, bool add,
                                    float* sums) {
  add_sums<Half>(v, z, tiles, input_block, output_block, add, sums);
}

// Sixteen outputs of one input: 9 taps of them to 36 points.
template <class Register>
[[gnu::always_inline]] inline void derive_block(const float (&plain)[taps][winograd_block], float* to,
                                                std::int64_t point) {
  for (std::int64_t i = 0; i < winograd_block; i += register_width<Register>) {
    Register weights[3][3];
    for (int tap = 0; tap < taps; ++tap) {
      weights[tap / 3][tap % 3] = load_register<Register>(plain[tap] + i);
    }
    Register points[6][6];
    in_two_dimensions(
        weights, points,
        [](const std::array<Register, 3>& g) __attribute__((always_inline)) { return weights_at_points(g); });
    for (int p = 0; p < 36; ++p) store_register(to + p * point + i, points[p / 6][p % 6]);
  }
}

DESCENT_CLONES void derive_inputs(const WeightsAtPoints& shape, const float* plain, std::int64_t output_step,
                                  std::int64_t input_step, bool reversed, float* to) {
  for (std::int64_t input = 0; input < shape.inputs; ++input) {
    alignas(64) float block[taps][winograd_block];
    for (std::int64_t output = 0; output < winograd_block; ++output) {
      const float* const from = plain + output * output_step + input * input_step;
      for (std::int64_t tap = 0; tap < taps; ++tap) block[reversed ? taps - 1 - tap : tap][output] = from[tap];
    }
    derive_block<Half>(block, to + input * shape.panel, shape.point);
  }
}

[[nodiscard]] std::int64_t panel_of(std::int64_t outputs) {
  constexpr std::int64_t two_wide = 2 * register_width<Vector>;
  return has_avx512_registers() && outputs % two_wide == 0 ? two_wide : winograd_block;
}

}  // namespace

WeightsAtPoints::WeightsAtPoints(std::int64_t input_channels, std::int64_t output_channels)
    : inputs(input_channels),
      outputs(output_channels),
      panel(panel_of(output_channels)),
      // An odd number of blocks, as in the slabs.
      point((input_channels * output_channels / winograd_block | 1) * winograd_block) {}

void WeightsAtPoints::derive(const float* plain, Order order, std::int64_t begin, std::int64_t end,
                             float* weights) const {
  const bool turned = order == Order::turned;
  const std::int64_t output_step = turned ? taps : inputs * taps;
  const std::int64_t input_step = turned ? outputs * taps : taps;
  for (std::int64_t block = begin; block < end; ++block) {
    const std::int64_t output = block * winograd_block;
    derive_inputs(*this, plain + output * output_step, output_step, input_step, turned,
                  weights + at(0, output / panel) + output % panel);
  }
}

void multiply_at_point(const PointsSlab& v, std::int64_t tiles, const WeightsAtPoints& shape, const float* u,
                       std::int64_t point, std::int64_t panel, const PointsSlab& m) {
  const Product product{v.at(point, 0, 0),
                        v.block(),
                        shape.inputs / winograd_block,
                        u + shape.at(point, panel),
                        m.at(point, panel * shape.panel / winograd_block, 0),
                        m.block()};
  if (!has_avx512_registers()) return multiply_narrow(product, tiles);
  (shape.panel == winograd_block ? multiply_one_wide : multiply_two_wide)(product, tiles);
}

void add_weight_sums(const PointsSlab& v, const PointsSlab& z, std::int64_t tiles, std::int64_t input_block,
                     std::int64_t output_block, bool add, float* sums) {
  (has_avx512_registers() ? add_sums_wide : add_sums_narrow)(v, z, tiles, input_block, output_block, add, sums);
}

}  // namespace descent
