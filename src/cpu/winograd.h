// A convolution of 3 × 3 taps and stride 1 by Winograd's algorithm: 36 instead of 144 multiplications for a
// tile of 4 × 4 pixels, in f32. All directions, between layouts with 16 neighbouring channels or two times 8.
#pragma once

#include "cpu/caches.h"
#include "cpu/context.h"
#include "cpu/winograd_products.h"
#include "cpu/winograd_tiles.h"

#include <cstddef>
#include <cstdint>

namespace descent {

// The two maps of a convolution that is computed forward: an input gradient has the gradient of the output as
// its source, and 2 − padding as its padding.
struct WinogradProblem {
  Shape source;
  Shape destination;
  Extent padding;
  Layout source_layout;
  Layout destination_layout;
};

// Bytes of slabs: what tiles are cut by. No result depends on it but a gradient of weights on `shared`.
struct WinogradSpace {
  std::int64_t own = second_cache_bytes();              // of a thread
  std::int64_t shared = std::int64_t{8} * 1024 * 1024;  // of all threads: part of the third cache
};

class WinogradProduct {
 public:
  WinogradProduct(const WinogradProblem& problem, WeightsAtPoints::Order order, const CpuContext& context,
                  const WinogradSpace& space = {});

  [[nodiscard]] std::size_t weights_bytes() const;
  [[nodiscard]] std::size_t scratch_bytes() const;
  [[nodiscard]] double flops() const;

  // From the plain weights to those that run() takes.
  void derive(const float* plain, float* weights) const;
  void run(const float* source, const float* weights, const TiledMaps::After& after, float* destination,
           float* scratch) const;

 private:
  [[nodiscard]] std::int64_t slab_floats() const;
  [[nodiscard]] SlabPair slabs(float* scratch, std::int64_t slot) const;
  void run_apart(const float* source, const float* weights, const TiledMaps::After& after, float* destination,
                 float* scratch) const;
  void run_together(const float* source, const float* weights, const TiledMaps::After& after,
                    float* destination, float* scratch) const;

  CpuContext context_;
  WeightsAtPoints::Order order_;
  WinogradTiles tiles_;
  WeightsAtPoints weights_;
  TiledMaps source_;
  TiledMaps destination_;
  bool apart_;            // each thread computes tiles of its own, from beginning to end
  std::int64_t at_once_;  // tiles
};

// The gradient of the weights.
class WinogradWeights {
 public:
  WinogradWeights(const WinogradProblem& problem, const CpuContext& context, const WinogradSpace& space = {});

  [[nodiscard]] std::size_t scratch_bytes() const;
  [[nodiscard]] double flops() const;
  void run(const float* source, const float* output_gradient, float* gradient, float* scratch) const;

 private:
  void write(const float* sums, std::int64_t input_block, std::int64_t output_block, float* gradient) const;

  CpuContext context_;
  std::int64_t inputs_;
  std::int64_t outputs_;
  WinogradTiles tiles_;
  TiledMaps source_;
  TiledMaps destination_;
  std::int64_t at_once_;  // tiles
};

}  // namespace descent
