// Winograd's convolution, at the points: products of matrices, one for each of the 36.
#pragma once

#include "cpu/winograd_tiles.h"

#include <cstdint>

namespace descent {

// A convolution's weights at the points: points × panels of outputs × inputs × outputs of a panel.
struct WeightsAtPoints {
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  std::int64_t panel = 0;  // outputs that are computed together
  std::int64_t point = 0;  // from one to the next, in floats

  WeightsAtPoints(std::int64_t input_channels, std::int64_t output_channels);
  [[nodiscard]] std::int64_t floats() const { return winograd_points * point; }
  [[nodiscard]] std::int64_t panels() const { return outputs / panel; }
  [[nodiscard]] std::int64_t at(std::int64_t which_point, std::int64_t which_panel) const {
    return which_point * point + which_panel * inputs * panel;
  }

  // How the plain weights [O, I, 3, 3] are read.
  enum class Order : bool {
    as_they_are,  // outputs are O
    turned,       // for the gradient of the input: outputs are I, taps in reverse
  };
  // Those of blocks [begin, end) of 16 outputs: from `plain` into `weights`.
  void derive(const float* plain, Order order, std::int64_t begin, std::int64_t end, float* weights) const;
};

// m[p, o, t] = Σ_i v[p, i, t] · u[p, i, o] at point p, for all tiles of the slabs that there are (`tiles`) and
// the outputs of one panel.
void multiply_at_point(const PointsSlab& v, std::int64_t tiles, const WeightsAtPoints& shape, const float* u,
                       std::int64_t point, std::int64_t panel, const PointsSlab& m);

// dw = Gᵀ·(Σ_t v[p, i, t] · z[p, o, t])·G for a block of 16 inputs i and one of 16 outputs o, as 9 taps × 16
// inputs × 16 outputs; added to `sums`, or in their place.
inline constexpr std::int64_t weight_sums = winograd_taps * winograd_taps * winograd_block * winograd_block;
void add_weight_sums(const PointsSlab& v, const PointsSlab& z, std::int64_t tiles, std::int64_t input_block,
                     std::int64_t output_block, bool add, float* sums);

}  // namespace descent
