// Forward and input gradient of a convolution, as many pictures to a vector as it holds.
// Idea: a block of output channels × pixels stays in registers over all input channels and taps. Taps in the
// padding are not computed: pixels are cut beforehand into runs that have the same taps.
// Bound: arithmetic, that of the innermost loops (lanes_f32.cpp, lanes_bf16_dot.cpp).
#include "cpu/lanes_conv.h"
#include "cpu/parallel.h"

#include <array>
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
}

template <class Element>
void LanesGather<Element>::pack(const float* weights, Packed* packed) const {
  constexpr std::int64_t together = LanesElement<Element>::inputs;
  const auto weight = [&, this](std::int64_t input, std::int64_t output, std::int64_t tap) {
    if (input >= inputs_) return 0.0F;
    const std::int64_t pair = transposed_ ? input * outputs_ + output : output * inputs_ + input;
    return weights[pair * taps_ + tap];
  };
  for (std::int64_t output = 0; output < outputs_; output += channel_block(output, outputs_)) {
    const std::int64_t size = channel_block(output, outputs_);
    for (std::int64_t input = 0; input < inputs_; input += together) {
      for (std::int64_t tap = 0; tap < taps_; ++tap) {
        for (std::int64_t o = output; o < output + size; ++o) {
          std::array<float, std::size_t{together}> of_inputs{};
          for (std::int64_t i = 0; i < together; ++i) {
            of_inputs[static_cast<std::size_t>(i)] = weight(input + i, o, tap);
          }
          *packed++ = LanesElement<Element>::packed(of_inputs);
        }
      }
    }
  }
}

template <class Element>
void LanesGather<Element>::run(const Element* x, const Packed* packed, const float* bias, Element* y,
                               std::int64_t pictures) const {
  LanesBlock<Element> block;
  block.channels = inputs_;
  block.x_channel = x_channel_;
  block.kernel_taps = taps_;
  block.y_channel = y_channel_;
  for (std::int64_t n = 0; n < pictures; ++n) {
    block.x = x + n * x_picture();
    for (std::int64_t output = 0; output < outputs_; output += block.outputs) {
      Element* const to = y + n * y_picture() + output * y_channel_;
      block.weights = packed + output * packed_an_output();
      block.bias = bias == nullptr ? nullptr : bias + output;
      block.outputs = channel_block(output, outputs_);
      for (const Tile& tile : tiles_) {
        block.taps = tile.taps;
        block.y = to + tile.y;
        block.pixels = tile.pixels;
        block.x_pixel = tile.x_pixel;
        block.y_pixel = tile.y_pixel;
        loops_.gather(block);
      }
    }
  }
}

template <class Element>
void LanesGather<Element>::run(const CpuContext& context, const Element* x, const Packed* packed,
                               const float* bias, Element* y) const {
  parallel_for(context.threads, blocks_, 1, [&, this](std::int64_t begin, std::int64_t end) {
    run(x + begin * x_picture(), packed, bias, y + begin * y_picture(), end - begin);
  });
}

template class LanesGather<float>;
template class LanesGather<Bf16>;

}  // namespace descent
