// The three directions of a convolution in bf16, thirty-two pictures to a vector, and their innermost loops for
// any processor: those convert to f32 as they read.
// Bound: arithmetic. Measured with one thread of a Zen 5 (padded taps counted), with dot products: forward and
// input gradient 510 to 740 GFLOP/s from 8 channels on, where f32 gives 250 to 350.
#include "cpu/lanes_bf16.h"

#include "cpu/lane_step.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

#include <algorithm>
#include <array>

namespace descent {

namespace {

constexpr std::int64_t most_parts = 8;  // partial gradients, whatever the number of threads

using Step = LaneStep<Bf16>;

template <int outputs>
[[gnu::always_inline]] inline void gather(const Bf16Gather& block) {
  Step sums[std::size_t{outputs}];
#pragma GCC unroll 8
  for (int o = 0; o < outputs; ++o) {
    sums[o].of[0] = Vector{} + (block.bias == nullptr ? 0.0F : block.bias[o]);
    sums[o].of[1] = sums[o].of[0];
  }
  for (std::int64_t channel = 0; channel < block.channels; ++channel) {
    const Bf16* const x = block.x + channel * block.x_channel;
    const std::uint32_t* const weights = block.weights + channel / 2 * block.kernel_taps * outputs;
    const bool second = channel % 2 == 1;
    for (const Bf16Tap& tap : block.taps) {
      const Step read = Step::load(x + tap.x);
      const std::uint32_t* const weight = weights + tap.kernel * outputs;
#pragma GCC unroll 8
      for (int o = 0; o < outputs; ++o) {
        const auto w = std::bit_cast<float>(second ? weight[o] & 0xffff0000U : weight[o] << 16U);
        sums[o].of[0] += w * read.of[0];
        sums[o].of[1] += w * read.of[1];
      }
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < outputs; ++o) sums[o].store(block.y + o * block.y_channel);
}

DESCENT_CLONES void gather_any(const Bf16Gather& block) {
  if (block.outputs == 8) return gather<8>(block);
  if (block.outputs == 4) return gather<4>(block);
  if (block.outputs == 2) return gather<2>(block);
  gather<1>(block);
}

template <int outputs, int inputs>
[[gnu::always_inline]] inline void add_products(const LanesProducts<Bf16>& at) {
  LaneSums<outputs, inputs> sums;
  for (std::int64_t picture = 0; picture < at.pictures; ++picture) {
    for (std::int64_t row = 0; row < at.rows; ++row) {
      const Bf16* x = at.x + picture * at.x_picture + row * at.x_row;
      const Bf16* dy = at.dy + picture * at.dy_picture + row * at.dy_row;
      for (std::int64_t column = 0; column < at.columns; ++column) {
#pragma GCC unroll 3
        for (int i = 0; i < inputs; ++i) {
          const Step read = Step::load(x + i * at.x_channel);
#pragma GCC unroll 8
          for (int o = 0; o < outputs; ++o) {
            const Step slope = Step::load(dy + o * at.dy_channel);
            sums.of[o][i] += slope.of[0] * read.of[0] + slope.of[1] * read.of[1];
          }
        }
        x += at.x_column;
        dy += bf16_lanes;
      }
    }
  }
  sums.add_to(at.gradient, at.output_step, at.input_step);
}

template <int outputs>
[[gnu::always_inline]] inline void add_inputs(const LanesProducts<Bf16>& at) {
  if (at.inputs == 3) return add_products<outputs, 3>(at);
  if (at.inputs == 2) return add_products<outputs, 2>(at);
  add_products<outputs, 1>(at);
}

DESCENT_CLONES void add_products_any(const LanesProducts<Bf16>& at) {
  if (at.outputs == 8) return add_inputs<8>(at);
  if (at.outputs == 4) return add_inputs<4>(at);
  if (at.outputs == 2) return add_inputs<2>(at);
  add_inputs<1>(at);
}

DESCENT_CLONES float sum_of(const Bf16* values, std::int64_t count) {
  Vector sum{};
  for (std::int64_t i = 0; i < count; i += bf16_lanes) {
    const Step step = Step::load(values + i);
    sum += step.of[0] + step.of[1];
  }
  return sum_lanes(sum);
}

}  // namespace

Bf16Loops bf16_portable_loops() {
  return {gather_any, add_products_any, "loops"};
}

Bf16LanesGather::Bf16LanesGather(const LanesProblem& problem, const Bf16Loops& loops, bool transposed)
    : loops_(loops),
      transposed_(transposed),
      blocks_(problem.blocks),
      inputs_(transposed ? problem.out_channels : problem.in_channels),
      outputs_(transposed ? problem.in_channels : problem.out_channels),
      taps_(problem.taps()) {
  const auto size_of_x = [&](const Axis& axis) { return transposed ? axis.output : axis.input; };
  const auto size_of_y = [&](const Axis& axis) { return transposed ? axis.input : axis.output; };
  const auto runs = [&](const Axis& axis) {
    return transposed ? backward_runs(axis, 1) : forward_runs(axis, 1);
  };
  const std::int64_t x_width = size_of_x(problem.columns);
  const std::int64_t y_width = size_of_y(problem.columns);
  x_channel_ = size_of_x(problem.rows) * x_width * bf16_lanes;
  y_channel_ = size_of_y(problem.rows) * y_width * bf16_lanes;
  const std::vector<AxisRun> columns = runs(problem.columns);
  for (const AxisRun& row : runs(problem.rows)) {
    for (const AxisRun& column : columns) {
      Pixel pixel{(row.first * y_width + column.first) * bf16_lanes, {}};
      for (const AxisTap& down : row.taps) {
        for (const AxisTap& across : column.taps) {
          pixel.taps.push_back({(down.source * x_width + across.source) * bf16_lanes,
                                down.kernel * problem.columns.kernel + across.kernel});
        }
      }
      pixels_.push_back(std::move(pixel));
    }
  }
}

void Bf16LanesGather::pack(const float* weights, Packed* packed) const {
  const auto bits = [&](std::int64_t input, std::int64_t output, std::int64_t tap) -> Packed {
    if (input >= inputs_) return 0;
    const std::int64_t pair = transposed_ ? input * outputs_ + output : output * inputs_ + input;
    return to_bf16(weights[pair * taps_ + tap]).bits;
  };
  for (std::int64_t output = 0; output < outputs_; output += channel_block(output, outputs_)) {
    const std::int64_t size = channel_block(output, outputs_);
    for (std::int64_t input = 0; input < inputs_; input += 2) {
      for (std::int64_t tap = 0; tap < taps_; ++tap) {
        for (std::int64_t o = output; o < output + size; ++o) {
          *packed++ = bits(input, o, tap) | bits(input + 1, o, tap) << 16U;
        }
      }
    }
  }
}

void Bf16LanesGather::run(const Bf16* x, const Packed* packed, const float* bias, Bf16* y,
                          std::int64_t pictures) const {
  const std::int64_t weights_an_output = (inputs_ + 1) / 2 * taps_;
  Bf16Gather block;
  block.channels = inputs_;
  block.x_channel = x_channel_;
  block.kernel_taps = taps_;
  block.y_channel = y_channel_;
  for (std::int64_t n = 0; n < pictures; ++n) {
    block.x = x + n * x_picture();
    for (std::int64_t output = 0; output < outputs_; output += block.outputs) {
      Bf16* const to = y + n * y_picture() + output * y_channel_;
      block.weights = packed + output * weights_an_output;
      block.bias = bias == nullptr ? nullptr : bias + output;
      block.outputs = channel_block(output, outputs_);
      for (const Pixel& pixel : pixels_) {
        block.taps = pixel.taps;
        block.y = to + pixel.y;
        loops_.gather(block);
      }
    }
  }
}

void Bf16LanesGather::run(const CpuContext& context, const Bf16* x, const Packed* packed, const float* bias,
                          Bf16* y) const {
  parallel_for(context.threads, blocks_, 1, [&, this](std::int64_t begin, std::int64_t end) {
    run(x + begin * x_picture(), packed, bias, y + begin * y_picture(), end - begin);
  });
}

Bf16LanesWeightGradient::Bf16LanesWeightGradient(const LanesProblem& problem, bool bias, const Bf16Loops& loops)
    : problem_(problem),
      bias_(bias),
      loops_(loops),
      parts_(std::min(most_parts, problem.blocks)),
      stretch_(stretch_of(problem)) {}

void Bf16LanesWeightGradient::clear(float* partial) const {
  std::fill_n(partial, this->partial(), 0.0F);
}

void Bf16LanesWeightGradient::add(const Bf16* x, const Bf16* dy, std::int64_t dy_picture, std::int64_t pictures,
                                  float* partial) const {
  for_products(problem_, bf16_lanes, x, dy, dy_picture, pictures, partial, loops_.add_products);
  if (!bias_) return;
  const std::int64_t channel = problem_.rows.output * problem_.columns.output * bf16_lanes;
  float* const sums = partial + problem_.weights();
  for (std::int64_t n = 0; n < pictures; ++n) {
    for (std::int64_t o = 0; o < problem_.out_channels; ++o) {
      sums[o] += sum_of(dy + n * dy_picture + o * channel, channel);
    }
  }
}

void Bf16LanesWeightGradient::finish(const CpuContext& context, const float* scratch, float* weight_gradient,
                                     float* bias_gradient) const {
  const auto total = [&, this](std::int64_t at) {
    float sum = 0;
    for (std::int64_t part = 0; part < parts_; ++part) sum += scratch[part * partial() + at];
    return sum;
  };
  const std::int64_t weights = problem_.weights();
  parallel_for(context.threads, weights, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) weight_gradient[i] = total(i);
  });
  if (bias_gradient == nullptr) return;
  for (std::int64_t o = 0; o < problem_.out_channels; ++o) {
    bias_gradient[o] = bias_ ? total(weights + o) : 0.0F;
  }
}

void Bf16LanesWeightGradient::run(const CpuContext& context, const Bf16* x, const Bf16* dy, float* scratch,
                                  float* weight_gradient, float* bias_gradient) const {
  const std::int64_t x_picture =
      problem_.in_channels * problem_.rows.input * problem_.columns.input * bf16_lanes;
  const std::int64_t dy_picture =
      problem_.out_channels * problem_.rows.output * problem_.columns.output * bf16_lanes;
  parallel_for(context.threads, parts_, 1, [&, this](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      float* const sums = scratch + part * partial();
      clear(sums);
      for_stretches(part, [&, this](std::int64_t n, std::int64_t pictures) {
        add(x + n * x_picture, dy + n * dy_picture, dy_picture, pictures, sums);
      });
    }
  });
  finish(context, scratch, weight_gradient, bias_gradient);
}

}  // namespace descent
