// Forward and input gradient of a convolution, as many pictures to a vector as it holds.
// Idea: a block of output channels × pixels stays in registers over taps and input channels. Taps in the
// padding are not computed: pixels are cut beforehand into runs that have the same taps. On maps so small that
// most runs are of one pixel, the same pixel of several blocks of pictures takes their place. Where registers
// are short, so that a block is computed in parts that read the same x, and where that is more than the first
// cache holds, sums are carried on over a few channels at a time: the other parts, the tile below and, on small
// maps, the next block of outputs then find x there.
//
// Bound: arithmetic, that of the innermost loops (lanes_f32_*.cpp, lanes_bf16_dot.cpp). Measured, a thread of a
// Zen 3 (AVX2) of 104 GFLOP/s, padded taps not counted, the forward pass of convnet's blocks from 8, 16 and 32
// channels, all in cache: 92, 86 and 88 GFLOP/s; with all channels at once 92, 80 and 64.
#include "cpu/lanes_conv.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>
#include <vector>

namespace descent {

LanesProblem::LanesProblem(const Conv& op, const Shape& source, const Shape& destination, std::int64_t pictures)
    : blocks(source[0] / pictures),
      in_channels(source[1]),
      out_channels(destination[1]),
      rows{source[2],        destination[2],    op.kernel.height,
           op.stride.height, op.padding.height, op.dilation.height},
      columns{source[3],       destination[3],   op.kernel.width,
              op.stride.width, op.padding.width, op.dilation.width} {}

template <class Element>
LanesGather<Element>::LanesGather(const LanesProblem& problem, const Loops& loops, bool transposed)
    : loops_(loops),
      transposed_(transposed),
      blocks_(problem.blocks),
      inputs_(transposed ? problem.out_channels : problem.in_channels),
      outputs_(transposed ? problem.in_channels : problem.out_channels),
      taps_(problem.taps()) {
  const auto size_of_x = [&](const Axis& axis) { return transposed ? axis.output : axis.input; };
  const auto size_of_y = [&](const Axis& axis) { return transposed ? axis.input : axis.output; };
  const std::int64_t x_width = size_of_x(problem.columns);
  const std::int64_t y_width = size_of_y(problem.columns);
  x_channel_ = size_of_x(problem.rows) * x_width * width;
  y_channel_ = size_of_y(problem.rows) * y_width * width;
  const auto runs = [&](const Axis& axis, std::int64_t longest) {
    return transposed ? backward_runs(axis, longest) : forward_runs(axis, longest);
  };
  const std::vector<AxisRun> columns = runs(problem.columns, LanesElement<Element>::pixels);
  for (const AxisRun& row : runs(problem.rows, 1)) {
    for (const AxisRun& run : columns) {
      Tile tile{(row.first * y_width + run.first) * width, run.count, run.step * width, run.stride * width, {}};
      for (const AxisTap& down : row.taps) {
        for (const AxisTap& across : run.taps) {
          tile.taps.push_back({(down.source * x_width + across.source) * width,
                               down.kernel * problem.columns.kernel + across.kernel});
        }
      }
      tiles_.push_back(std::move(tile));
    }
  }
  // Several pictures at once want more cache: where runs are long enough, that costs more than it gives.
  const std::int64_t pixels = size_of_y(problem.rows) * y_width;
  if (pixels < 2 * std::ssize(tiles_)) together_ = LanesElement<Element>::pixels;
  channels_ = channels_at_once();
}

// As many channels as make a tile read no more than the loops like, each tap of each pixel counted, though
// neighbours share some.
template <class Element>
std::int64_t LanesGather<Element>::channels_at_once() const {
  constexpr std::int64_t fewest = 4;  // fewer would carry sums in and out of registers more than add to them
  std::int64_t taps = 0;              // of a channel
  for (const Tile& tile : tiles_)
    taps = std::max(taps, std::ssize(tile.taps) * std::max(tile.pixels, together_));
  const std::int64_t bytes = taps * width * static_cast<std::int64_t>(sizeof(Element));
  std::int64_t channels = inputs_;
  while (channels > fewest && channels * bytes > loops_.most_read) channels = (channels + 1) / 2;
  return channels;
}

template <class Element>
void LanesGather<Element>::pack(const float* weights, Packed* packed) const {
  constexpr std::int64_t together = LanesElement<Element>::inputs;
  for (std::int64_t output = 0; output < outputs_; output += channel_block(output, outputs_)) {
    const std::int64_t size = channel_block(output, outputs_);
    for (std::int64_t input = 0; input < inputs_; input += together) {
      for (std::int64_t o = 0; o < size; ++o) {
        std::array<const float*, std::size_t{together}> from{};  // the taps of each input
        for (std::int64_t i = 0; i < std::min(together, inputs_ - input); ++i) {
          const std::int64_t pair =
              transposed_ ? (input + i) * outputs_ + output + o : (output + o) * inputs_ + input + i;
          from[static_cast<std::size_t>(i)] = weights + pair * taps_;
        }
        for (std::int64_t tap = 0; tap < taps_; ++tap) {
          std::array<float, std::size_t{together}> of_inputs{};
          for (std::size_t i = 0; i < of_inputs.size(); ++i) {
            if (from[i] != nullptr) of_inputs[i] = from[i][tap];
          }
          packed[tap * size + o] = LanesElement<Element>::packed(of_inputs);
        }
      }
      packed += taps_ * size;
    }
  }
}

// One tile of some blocks of pictures: along its pixels, or along the pictures where those are more.
template <class Element>
void LanesGather<Element>::run_tile(const Tile& tile, LanesBlock<Element>& block, std::int64_t x_step,
                                    std::int64_t y_step, std::int64_t pictures) const {
  const bool along_pictures = tile.pixels < pictures;
  const Element* const x = block.x;
  Element* const y = block.y;
  block.taps = tile.taps;
  block.pixels = along_pictures ? pictures : tile.pixels;
  block.x_pixel = along_pictures ? x_step : tile.x_pixel;
  block.y_pixel = along_pictures ? y_step : tile.y_pixel;
  for (std::int64_t i = 0; i < (along_pictures ? tile.pixels : pictures); ++i) {
    block.x = x + i * (along_pictures ? tile.x_pixel : x_step);
    block.y = y + tile.y + i * (along_pictures ? tile.y_pixel : y_step);
    loops_.gather(block);
  }
  block.x = x;
  block.y = y;
}

template <class Element>
void LanesGather<Element>::run(const Element* x, std::int64_t x_step, const Packed* packed, const float* bias,
                               Element* y, std::int64_t y_step, std::int64_t pictures,
                               const ReluRule* activation) const {
  LanesBlock<Element> block;
  block.x_channel = x_channel_;
  block.kernel_taps = taps_;
  block.y_channel = y_channel_;
  for (std::int64_t n = 0; n < pictures; n += together_) {
    for (std::int64_t channel = 0; channel < inputs_; channel += channels_) {
      block.x = x + n * x_step + channel * x_channel_;
      block.channels = std::min(channels_, inputs_ - channel);
      block.continues = channel > 0;
      block.activation = channel + channels_ < inputs_ ? nullptr : activation;
      for (std::int64_t output = 0; output < outputs_; output += block.outputs) {
        block.outputs = channel_block(output, outputs_);
        block.y = y + n * y_step + output * y_channel_;
        block.weights = packed + output * packed_an_output() +
                        channel / LanesElement<Element>::inputs * taps_ * block.outputs;
        block.bias = bias == nullptr ? nullptr : bias + output;
        for (const Tile& tile : tiles_)
          run_tile(tile, block, x_step, y_step, std::min(together_, pictures - n));
      }
    }
  }
}

template <class Element>
void LanesGather<Element>::run(const CpuContext& context, const Element* x, const Packed* packed,
                               const float* bias, Element* y) const {
  for_sets(context, [&, this](std::int64_t n, std::int64_t pictures, std::int64_t /*slot*/) {
    run(x + n * x_picture(), x_picture(), packed, bias, y + n * y_picture(), y_picture(), pictures);
  });
}

template class LanesGather<float>;
template class LanesGather<Bf16>;

}  // namespace descent
