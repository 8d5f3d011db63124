// Forward and input gradient of a convolution, sixteen pictures to a vector.
// Idea: a block of 8 output channels × 3 pixels stays in registers over all input channels and taps; a vector
// of x is read for 8 multiply-adds, a weight, broadcast, for 3. Taps in the padding are not computed: pixels
// are cut beforehand into runs that have the same taps.
// Bound: arithmetic, two multiply-adds of 16 lanes a cycle; with one input channel the stores. Measured with
// two threads of a Zen 5 (train --explain; padded taps counted): 400 to 500 GFLOP/s from 8 channels on, 180
// from one.
#include "cpu/lanes_conv.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

#include <span>
#include <utility>
#include <vector>

namespace descent {

namespace {

constexpr std::int64_t block_pixels = 3;

// Everything about one block of outputs but its size.
struct Block {
  const float* x;
  std::int64_t channels;   // summed over
  std::int64_t x_channel;  // from one of them to the next, in floats
  const float* weights;
  std::int64_t kernel_taps;  // weights of an input channel, for each output
  std::int64_t x_pixel;      // from one pixel of the run to the next, in floats
  const float* bias;         // null: none
  float* y;
  std::int64_t y_channel;
  std::int64_t y_pixel;
};

template <int outputs, int pixels, class Tap>
[[gnu::always_inline]] inline void compute(const Block& block, std::span<const Tap> taps) {
  Vector sums[std::size_t{outputs}][std::size_t{pixels}];
#pragma GCC unroll 8
  for (int o = 0; o < outputs; ++o) {
#pragma GCC unroll 3
    for (int p = 0; p < pixels; ++p) {
      sums[o][p] = Vector{} + (block.bias == nullptr ? 0.0F : block.bias[o]);
    }
  }
  const float* x = block.x;
  const float* weights = block.weights;
  for (std::int64_t channel = 0; channel < block.channels; ++channel) {
    for (const Tap& tap : taps) {
      const float* const from = x + tap.x;
      const float* const weight = weights + tap.kernel * outputs;
      Vector read[std::size_t{pixels}];
#pragma GCC unroll 3
      for (int p = 0; p < pixels; ++p) read[p] = *reinterpret_cast<const Vector*>(from + p * block.x_pixel);
#pragma GCC unroll 8
      for (int o = 0; o < outputs; ++o) {
#pragma GCC unroll 3
        for (int p = 0; p < pixels; ++p) sums[o][p] += weight[o] * read[p];
      }
    }
    x += block.x_channel;
    weights += block.kernel_taps * outputs;
  }
#pragma GCC unroll 8
  for (int o = 0; o < outputs; ++o) {
#pragma GCC unroll 3
    for (int p = 0; p < pixels; ++p) {
      *reinterpret_cast<Vector*>(block.y + o * block.y_channel + p * block.y_pixel) = sums[o][p];
    }
  }
}

template <int outputs, class Tap>
[[gnu::always_inline]] inline void compute_pixels(const Block& block, std::span<const Tap> taps,
                                                  std::int64_t pixels) {
  if (pixels == 3) return compute<outputs, 3>(block, taps);
  if (pixels == 2) return compute<outputs, 2>(block, taps);
  compute<outputs, 1>(block, taps);
}

template <class Tap>
DESCENT_CLONES void compute_block(const Block& block, std::span<const Tap> taps, std::int64_t outputs,
                                  std::int64_t pixels) {
  switch (outputs) {
    case 8:
      return compute_pixels<8>(block, taps, pixels);
    case 4:
      return compute_pixels<4>(block, taps, pixels);
    case 2:
      return compute_pixels<2>(block, taps, pixels);
    default:
      return compute_pixels<1>(block, taps, pixels);
  }
}

}  // namespace

LanesProblem::LanesProblem(const Conv& op, const Shape& source, const Shape& destination)
    : blocks(source[0] / lanes),
      in_channels(source[1]),
      out_channels(destination[1]),
      rows{source[2],        destination[2],    op.kernel.height,
           op.stride.height, op.padding.height, op.dilation.height},
      columns{source[3],       destination[3],   op.kernel.width,
              op.stride.width, op.padding.width, op.dilation.width} {}

LanesGather::LanesGather(const LanesProblem& problem, bool transposed)
    : transposed_(transposed),
      blocks_(problem.blocks),
      inputs_(transposed ? problem.out_channels : problem.in_channels),
      outputs_(transposed ? problem.in_channels : problem.out_channels),
      taps_(problem.taps()) {
  const auto size_of_x = [&](const Axis& axis) { return transposed ? axis.output : axis.input; };
  const auto size_of_y = [&](const Axis& axis) { return transposed ? axis.input : axis.output; };
  const std::int64_t x_width = size_of_x(problem.columns);
  const std::int64_t y_width = size_of_y(problem.columns);
  x_channel_ = size_of_x(problem.rows) * x_width * lanes;
  y_channel_ = size_of_y(problem.rows) * y_width * lanes;
  for (std::int64_t output = 0; output < outputs_; output += channel_block(output, outputs_)) {
    starts_.push_back(output);
  }
  const auto runs = [&](const Axis& axis, std::int64_t longest) {
    return transposed ? backward_runs(axis, longest) : forward_runs(axis, longest);
  };
  const std::vector<AxisRun> columns = runs(problem.columns, block_pixels);
  for (const AxisRun& row : runs(problem.rows, 1)) {
    for (const AxisRun& run : columns) {
      Tile tile{(row.first * y_width + run.first) * lanes, run.count, run.step * lanes, run.stride * lanes, {}};
      for (const AxisTap& down : row.taps) {
        for (const AxisTap& across : run.taps) {
          tile.taps.push_back({(down.source * x_width + across.source) * lanes,
                               down.kernel * problem.columns.kernel + across.kernel});
        }
      }
      tiles_.push_back(std::move(tile));
    }
  }
}

void LanesGather::pack(const float* weights, float* packed) const {
  for (const std::int64_t output : starts_) {
    const std::int64_t size = channel_block(output, outputs_);
    for (std::int64_t input = 0; input < inputs_; ++input) {
      for (std::int64_t tap = 0; tap < taps_; ++tap) {
        for (std::int64_t o = output; o < output + size; ++o) {
          const std::int64_t pair = transposed_ ? input * outputs_ + o : o * inputs_ + input;
          *packed++ = weights[pair * taps_ + tap];
        }
      }
    }
  }
}

// All pixels of `size` output channels of one block of pictures.
void LanesGather::run_block(const float* x, const float* weights, const float* bias, float* y,
                            std::int64_t size) const {
  Block block{x, inputs_, x_channel_, weights, taps_, 0, bias, y, y_channel_, 0};
  for (const Tile& tile : tiles_) {
    block.x_pixel = tile.x_pixel;
    block.y_pixel = tile.y_pixel;
    block.y = y + tile.y;
    compute_block(block, std::span<const Tap>(tile.taps), size, tile.pixels);
  }
}

void LanesGather::run(const float* x, const float* packed, const float* bias, float* y,
                      std::int64_t pictures) const {
  for (std::int64_t n = 0; n < pictures; ++n) {
    for (const std::int64_t output : starts_) {
      run_block(x + n * x_picture(), packed + output * inputs_ * taps_,
                bias == nullptr ? nullptr : bias + output, y + n * y_picture() + output * y_channel_,
                channel_block(output, outputs_));
    }
  }
}

void LanesGather::run(const CpuContext& context, const float* x, const float* packed, const float* bias,
                      float* y) const {
  parallel_for(context.threads, blocks_, 1, [&, this](std::int64_t begin, std::int64_t end) {
    run(x + begin * x_picture(), packed, bias, y + begin * y_picture(), end - begin);
  });
}

}  // namespace descent
