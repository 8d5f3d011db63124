// Idea: in pieces that stay in cache. Where a thread's own second cache holds the slabs of a few tiles, each
// thread takes tiles of its own from maps to points, through the products and back (run_apart); with more
// channels all do each of the three steps together (run_together), so that the weights at the points, four
// times the plain ones, are read from memory once for many tiles. Bound: a quarter of the direct convolution's
// arithmetic, 12 operations a number and dimension for the transforms, and for few tiles the weights' bytes.
// Measured on two cores of a Zen 3 (peak 207 GFLOP/s), as the plan cache holds it of resnet18's step of 32 and
// counted as the direct convolution's arithmetic: outputs and input gradients 396 to 579 GFLOP/s with 64 to 256
// channels, weight gradients 356 to 504, oneDNN's fastest 161 to 192 and 111 to 149; with 512 channels 299 to
// 323 (87 to 139), of which a quarter goes into bringing the weights to the points.
#include "cpu/winograd.h"

#include "cpu/parallel.h"

#include <algorithm>

namespace descent {

namespace {

Extent outside(const Extent& padding) {
  return {-padding.height, -padding.width};
}

// Tiles that pay for reading the weights once, and for reading and writing sums of weights once.
constexpr std::int64_t fewest_tiles = 12;
constexpr std::int64_t fewest_summed = 64;

std::int64_t tile_bytes(std::int64_t inputs, std::int64_t outputs) {
  return winograd_points * (inputs + outputs) * static_cast<std::int64_t>(sizeof(float));
}

// Multiplications and additions at the points, without the transforms.
double flops_of(const WinogradTiles& tiles, std::int64_t inputs, std::int64_t outputs) {
  return 2.0 * static_cast<double>(winograd_points * tiles.count()) * static_cast<double>(inputs * outputs);
}

}  // namespace

WinogradProduct::WinogradProduct(const WinogradProblem& problem, WeightsAtPoints::Order order,
                                 const CpuContext& context, const WinogradSpace& space)
    : context_(context),
      order_(order),
      tiles_(problem.destination),
      weights_(problem.source[1], problem.destination[1]),
      source_(problem.source, problem.source_layout, outside(problem.padding), tiles_),
      destination_(problem.destination, problem.destination_layout, {0, 0}, tiles_) {
  const std::int64_t bytes = tile_bytes(weights_.inputs, weights_.outputs);
  const std::int64_t share = (tiles_.count() - 1) / context.threads + 1;
  // Weights that every thread reads must be worth it; a little more than its own cache does no harm.
  apart_ = fewest_tiles * bytes < 2 * space.own && share >= fewest_tiles / 2;
  const std::int64_t fit = (apart_ ? space.own / 4 * 3 : space.shared) / bytes / fewest_tiles * fewest_tiles;
  at_once_ = std::min(std::max(fit, fewest_tiles), apart_ ? share : tiles_.count());
}

std::int64_t WinogradProduct::slab_floats() const {
  return SlabPair::floats(weights_.inputs, weights_.outputs, at_once_);
}

double WinogradProduct::flops() const {
  return flops_of(tiles_, weights_.inputs, weights_.outputs);
}

std::size_t WinogradProduct::weights_bytes() const {
  return static_cast<std::size_t>(weights_.floats()) * sizeof(float);
}

std::size_t WinogradProduct::scratch_bytes() const {
  const std::int64_t slots = apart_ ? context_.threads : 1;
  return static_cast<std::size_t>(slots * slab_floats()) * sizeof(float);
}

SlabPair WinogradProduct::slabs(float* scratch, std::int64_t slot) const {
  return {scratch + slot * slab_floats(), weights_.inputs, weights_.outputs, at_once_};
}

void WinogradProduct::derive(const float* plain, float* weights) const {
  parallel_for(
      context_.threads, weights_.outputs / winograd_block, 1,
      [&, this](std::int64_t begin, std::int64_t end) { weights_.derive(plain, order_, begin, end, weights); });
}

void WinogradProduct::run(const float* source, const float* weights, const TiledMaps::After& after,
                          float* destination, float* scratch) const {
  if (apart_) return run_apart(source, weights, after, destination, scratch);
  run_together(source, weights, after, destination, scratch);
}

void WinogradProduct::run_apart(const float* source, const float* weights, const TiledMaps::After& after,
                                float* destination, float* scratch) const {
  const std::int64_t parts = (tiles_.count() - 1) / at_once_ + 1;
  parallel_parts(
      context_.threads, parts, PartOrder::first_to_last, [&, this](std::int64_t part, std::int64_t slot) {
        const SlabPair at = slabs(scratch, slot);
        const TileStretch stretch{part * at_once_, std::min(at_once_, tiles_.count() - part * at_once_)};
        source_.patches_to_points(source, stretch, at.source);
        for (std::int64_t point = 0; point < winograd_points; ++point) {
          for (std::int64_t panel = 0; panel < weights_.panels(); ++panel) {
            multiply_at_point(at.source, stretch.count, weights_, weights, point, panel, at.destination);
          }
        }
        destination_.points_to_maps(at.destination, stretch, after, destination);
      });
}

void WinogradProduct::run_together(const float* source, const float* weights, const TiledMaps::After& after,
                                   float* destination, float* scratch) const {
  const SlabPair at = slabs(scratch, 0);
  for (std::int64_t first = 0; first < tiles_.count(); first += at_once_) {
    const std::int64_t count = std::min(at_once_, tiles_.count() - first);
    parallel_for(context_.threads, count, 1, [&, this](std::int64_t begin, std::int64_t end) {
      source_.patches_to_points(source, {first + begin, end - begin}, at.source.from_tile(begin));
    });
    parallel_parts(context_.threads, winograd_points * weights_.panels(), PartOrder::first_to_last,
                   [&, this](std::int64_t part, std::int64_t /*slot*/) {
                     multiply_at_point(at.source, count, weights_, weights, part / weights_.panels(),
                                       part % weights_.panels(), at.destination);
                   });
    parallel_for(context_.threads, count, 1, [&, this](std::int64_t begin, std::int64_t end) {
      destination_.points_to_maps(at.destination.from_tile(begin), {first + begin, end - begin}, after,
                                  destination);
    });
  }
}

WinogradWeights::WinogradWeights(const WinogradProblem& problem, const CpuContext& context,
                                 const WinogradSpace& space)
    : context_(context),
      inputs_(problem.source[1]),
      outputs_(problem.destination[1]),
      tiles_(problem.destination),
      source_(problem.source, problem.source_layout, outside(problem.padding), tiles_),
      destination_(problem.destination, problem.destination_layout, {0, 0}, tiles_) {
  const std::int64_t fit = space.shared / tile_bytes(inputs_, outputs_);
  at_once_ = std::min(std::max(fit, fewest_summed), tiles_.count());
}

double WinogradWeights::flops() const {
  return flops_of(tiles_, inputs_, outputs_);
}

std::size_t WinogradWeights::scratch_bytes() const {
  const std::int64_t slabs = SlabPair::floats(inputs_, outputs_, at_once_);
  const std::int64_t blocks = inputs_ / winograd_block * (outputs_ / winograd_block);
  return static_cast<std::size_t>(slabs + blocks * weight_sums) * sizeof(float);
}

void WinogradWeights::run(const float* source, const float* output_gradient, float* gradient,
                          float* scratch) const {
  const SlabPair at(scratch, inputs_, outputs_, at_once_);
  float* const sums = scratch + SlabPair::floats(inputs_, outputs_, at_once_);
  const std::int64_t output_blocks = outputs_ / winograd_block;
  for (std::int64_t first = 0; first < tiles_.count(); first += at_once_) {
    const std::int64_t count = std::min(at_once_, tiles_.count() - first);
    parallel_for(context_.threads, count, 1, [&, this](std::int64_t begin, std::int64_t end) {
      source_.patches_to_points(source, {first + begin, end - begin}, at.source.from_tile(begin));
      destination_.gradients_to_points(output_gradient, {first + begin, end - begin},
                                       at.destination.from_tile(begin));
    });
    const bool last = first + count == tiles_.count();
    parallel_parts(context_.threads, inputs_ / winograd_block * output_blocks, PartOrder::first_to_last,
                   [&, this](std::int64_t part, std::int64_t /*slot*/) {
                     const std::int64_t input_block = part / output_blocks;
                     const std::int64_t output_block = part % output_blocks;
                     float* const own = sums + part * weight_sums;
                     add_weight_sums(at.source, at.destination, count, input_block, output_block, first > 0,
                                     own);
                     if (last) write(own, input_block, output_block, gradient);
                   });
  }
}

void WinogradWeights::write(const float* sums, std::int64_t input_block, std::int64_t output_block,
                            float* gradient) const {
  constexpr std::int64_t taps = winograd_taps * winograd_taps;
  for (std::int64_t o = 0; o < winograd_block; ++o) {
    const std::int64_t row = (output_block * winograd_block + o) * inputs_ + input_block * winograd_block;
    for (std::int64_t i = 0; i < winograd_block; ++i) {
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        gradient[(row + i) * taps + tap] = sums[(tap * winograd_block + i) * winograd_block + o];
      }
    }
  }
}

}  // namespace descent
