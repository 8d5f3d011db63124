// A convolution for small work, sixteen output channels to a vector.
// Idea: up to 8 neighbouring pixels × 64 channels stay in registers over all taps and input channels; a vector
// of weights is read for all pixels, a number of x, broadcast, for all channels. Nothing is copied or padded:
// pixels are cut beforehand into runs that have the same taps. One thread where a second would cost more than
// it gives. With few sums in registers the input channels are dealt out to several, so that no addition waits
// for the one before it. Where registers hold eight numbers (AVX2) a block is 6 pixels × 16 channels.
// Bound: arithmetic, two multiply-adds of 16 lanes a cycle, and on small maps the weights, read from the
// second-level cache for every pixel. Measured with one thread of a Zen 5, whose bound is 270 GFLOP/s, padded
// taps counted: 110 to 190 on the convolutions of the seed network at batch 1, 20 on its first, where half of
// each vector is empty and the stores count as much; 120 to 180 on those of ResNets.
#include "cpu/conv_pixels.h"

#include "cpu/parallel.h"
#include "cpu/registers.h"
#include "cpu/simd.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

namespace descent {

namespace {

constexpr std::int64_t thread_work = std::int64_t{1} << 16;  // vector multiply-adds that pay for a thread

// Neighbouring pixels that are computed together at most, so that their sums stay in registers.
constexpr std::int64_t most_pixels(std::int64_t register_numbers, std::int64_t blocks) {
  return register_numbers < lanes || blocks == 4 ? 6 : 8;
}
std::int64_t most_pixels(std::int64_t blocks) {
  return with_registers(
      [&]<class Register>(Register) { return most_pixels(register_width<Register>, blocks); });
}

// Everything about one tile and group but its size.
struct Block {
  const float* x;
  std::int64_t inputs;
  std::int64_t x_pixel;
  std::int64_t x_block;
  std::int64_t x_block_channels;
  std::int64_t x_channel;
  const float* weights;
  std::int64_t weights_row;  // floats of all of the group's outputs
  const float* shifts;
  const float* residual;  // null: none
  float* y;
  std::int64_t y_pixel;
  std::int64_t y_block;
  std::int64_t channels;  // of the group that exist
};

template <class Register>
[[gnu::always_inline]] inline void store(const Block& block, std::int64_t at, std::size_t bytes, Register sum,
                                         const ReluRule* activation) {
  if (block.residual != nullptr) {
    Register other{};
    std::memcpy(&other, block.residual + at, bytes);
    sum += other;
  }
  if (activation != nullptr) sum = activation->value(sum);
  std::memcpy(block.y + at, &sum, bytes);
}

// Copies of a size that the compiler knows are single instructions.
template <class Register>
[[gnu::always_inline]] inline void store_channels(const Block& block, std::int64_t at, std::int64_t channels,
                                                  Register sum, const ReluRule* activation) {
  constexpr std::int64_t width = register_width<Register>;
  if (channels >= width) {
    store(block, at, sizeof sum, sum, activation);
  } else if (channels == width / 2) {
    store(block, at, sizeof sum / 2, sum, activation);
  } else if (channels > 0) {
    store(block, at, static_cast<std::size_t>(channels) * sizeof(float), sum, activation);
  }
}

// `blocks` sixteens of channels.
template <class Register, int blocks, int pixels, class Tap>
[[gnu::always_inline]] inline void compute(const Block& block, std::span<const Tap> taps,
                                           const ReluRule* activation) {
  constexpr std::int64_t width = register_width<Register>;
  constexpr int registers = blocks * static_cast<int>(lanes / width);
  constexpr int held = registers * pixels;
  constexpr int parts = held >= 8 ? 1 : held >= 4 ? 2 : 4;
  Register sums[std::size_t{parts}][std::size_t{registers}][std::size_t{pixels}] = {};
  for (const Tap& tap : taps) {
    const float* weights = block.weights + tap.kernel * block.inputs * block.weights_row;
    const auto add = [&](const float* from, int part) __attribute__((always_inline)) {
      Register weight[std::size_t{registers}];
#pragma GCC unroll 4
      for (int r = 0; r < registers; ++r) weight[r] = load_register<Register>(weights + r * width);
      weights += block.weights_row;
#pragma GCC unroll 8
      for (int p = 0; p < pixels; ++p) {
        const float read = from[p * block.x_pixel];
#pragma GCC unroll 4
        for (int r = 0; r < registers; ++r) sums[part][r][p] += read * weight[r];
      }
    };
    for (std::int64_t first = 0; first < block.inputs; first += block.x_block_channels) {
      const float* from = block.x + tap.x + first / block.x_block_channels * block.x_block;
      std::int64_t channel = 0;
      for (; channel + parts <= block.x_block_channels; channel += parts) {
#pragma GCC unroll 4
        for (int part = 0; part < parts; ++part) {
          add(from, part);
          from += block.x_channel;
        }
      }
      for (; channel < block.x_block_channels; ++channel) {
        add(from, 0);
        from += block.x_channel;
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < registers; ++r) {
    const std::int64_t channel = r * width;
    const auto shift = load_register<Register>(block.shifts + channel);
#pragma GCC unroll 8
    for (int p = 0; p < pixels; ++p) {
      Register sum = shift;
#pragma GCC unroll 4
      for (int part = 0; part < parts; ++part) sum += sums[part][r][p];
      const std::int64_t at = channel / lanes * block.y_block + channel % lanes + p * block.y_pixel;
      store_channels(block, at, block.channels - channel, sum, activation);
    }
  }
}

template <class Register, int blocks, class Tap>
[[gnu::always_inline]] inline void compute_pixels(const Block& block, std::span<const Tap> taps,
                                                  std::int64_t pixels, const ReluRule* activation) {
  constexpr std::int64_t most = most_pixels(register_width<Register>, blocks);
  switch (pixels) {
    case 1:
      return compute<Register, blocks, 1>(block, taps, activation);
    case 2:
      return compute<Register, blocks, 2>(block, taps, activation);
    case 3:
      return compute<Register, blocks, 3>(block, taps, activation);
    case 4:
      return compute<Register, blocks, 4>(block, taps, activation);
    case 5:
      return compute<Register, blocks, 5>(block, taps, activation);
    case 6:
      return compute<Register, blocks, 6>(block, taps, activation);
    case 7:
      if constexpr (most >= 7) return compute<Register, blocks, 7>(block, taps, activation);
      [[fallthrough]];
    default:
      if constexpr (most >= 8) return compute<Register, blocks, 8>(block, taps, activation);
  }
}

template <class Tap>
DESCENT_AVX512 void compute_block(const Block& block, std::span<const Tap> taps, std::int64_t blocks,
                                  std::int64_t pixels, const ReluRule* activation) {
  if (blocks == 4) return compute_pixels<Vector, 4>(block, taps, pixels, activation);
  if (blocks == 2) return compute_pixels<Vector, 2>(block, taps, pixels, activation);
  compute_pixels<Vector, 1>(block, taps, pixels, activation);
}

// Sixteen registers of eight numbers hold the sums of 6 pixels × 16 channels.
template <class Tap>
DESCENT_CLONES void compute_narrow(Block block, std::span<const Tap> taps, std::int64_t blocks,
                                   std::int64_t pixels, const ReluRule* activation) {
  for (std::int64_t done = 0; done < blocks; ++done) {
    compute_pixels<Half, 1>(block, taps, pixels, activation);
    block.weights += lanes;
    block.shifts += lanes;
    if (block.residual != nullptr) block.residual += block.y_block;
    block.y += block.y_block;
    block.channels -= lanes;
  }
}

AlignedBytes floats(std::int64_t count) {
  return AlignedBytes(static_cast<std::size_t>(count) * sizeof(float));
}

}  // namespace

PixelConv::PixelConv(const Conv& op, const Shape& source_shape, Layout source, const Shape& destination_shape,
                     Layout destination)
    : pictures_(source_shape[0]),
      inputs_(source_shape[1]),
      outputs_(destination_shape[1]),
      kernel_taps_(op.kernel.height * op.kernel.width) {
  const std::int64_t x_pixels = source_shape[2] * source_shape[3];
  const std::int64_t y_pixels = destination_shape[2] * destination_shape[3];
  x_picture_ = inputs_ * x_pixels;
  y_picture_ = outputs_ * y_pixels;
  x_block_channels_ = source == nchw16c ? lanes : inputs_;
  x_block_ = lanes * x_pixels;
  x_channel_ = source == nchw ? x_pixels : 1;
  const std::int64_t x_step = source == nchw ? 1 : x_block_channels_;
  y_pixel_ = destination == nchw16c ? lanes : outputs_;
  y_block_ = destination == nchw16c ? lanes * y_pixels : lanes;
  const std::int64_t blocks = (outputs_ - 1) / lanes + 1;
  group_blocks_ = blocks % 4 == 0 ? 4 : blocks % 2 == 0 ? 2 : 1;
  weights_ = floats(blocks * lanes * inputs_ * kernel_taps_);
  shifts_ = floats(blocks * lanes);

  const Axis rows{source_shape[2],  destination_shape[2], op.kernel.height,
                  op.stride.height, op.padding.height,    op.dilation.height};
  const Axis columns{source_shape[3], destination_shape[3], op.kernel.width,
                     op.stride.width, op.padding.width,     op.dilation.width};
  const std::vector<AxisRun> across = forward_runs(columns, most_pixels(group_blocks_));
  for (const AxisRun& row : forward_runs(rows, 1)) {
    for (const AxisRun& run : across) {
      Tile tile{run.step * x_step, row.first * columns.output + run.first, run.count, {}};
      for (const AxisTap& down : row.taps) {
        for (const AxisTap& tap : run.taps) {
          tile.taps.push_back(
              {(down.source * columns.input + tap.source) * x_step, down.kernel * columns.kernel + tap.kernel});
        }
      }
      tiles_.push_back(std::move(tile));
    }
  }
}

void PixelConv::pack(const float* weights, const float* shifts) {
  auto* const packed = static_cast<float*>(weights_.data());
  const std::int64_t width = group_blocks_ * lanes;
  for (std::int64_t o = 0; o < outputs_; ++o) {
    for (std::int64_t i = 0; i < inputs_; ++i) {
      for (std::int64_t tap = 0; tap < kernel_taps_; ++tap) {
        const std::int64_t row = (o / width * kernel_taps_ + tap) * inputs_ + i;
        packed[row * width + o % width] = weights[(o * inputs_ + i) * kernel_taps_ + tap];
      }
    }
  }
  std::copy_n(shifts, outputs_, static_cast<float*>(shifts_.data()));
}

void PixelConv::run_tile(const float* x, const float* residual, const ReluRule* activation, float* y,
                         const Tile& tile, std::int64_t group) const {
  const std::int64_t first = group * group_blocks_;  // sixteen
  const std::int64_t at = first * y_block_ + tile.y * y_pixel_;
  const Block block{x,
                    inputs_,
                    tile.x_pixel,
                    x_block_,
                    x_block_channels_,
                    x_channel_,
                    static_cast<const float*>(weights_.data()) + first * lanes * inputs_ * kernel_taps_,
                    group_blocks_ * lanes,
                    static_cast<const float*>(shifts_.data()) + first * lanes,
                    residual == nullptr ? nullptr : residual + at,
                    y + at,
                    y_pixel_,
                    y_block_,
                    outputs_ - first * lanes};
  const std::span<const Tap> taps(tile.taps);
  if (has_avx512_registers()) return compute_block(block, taps, group_blocks_, tile.pixels, activation);
  compute_narrow(block, taps, group_blocks_, tile.pixels, activation);
}

void PixelConv::run(const CpuContext& context, const float* x, const float* residual,
                    const ReluRule* activation, float* y) const {
  const auto tiles = static_cast<std::int64_t>(tiles_.size());
  const std::int64_t groups = ((outputs_ - 1) / lanes + 1) / group_blocks_;
  const std::int64_t work = kernel_taps_ * inputs_ * group_blocks_ * most_pixels(group_blocks_);  // of a tile
  const std::int64_t grain = std::max<std::int64_t>(1, thread_work / std::max<std::int64_t>(work, 1));
  parallel_for(context.threads, pictures_ * groups * tiles, grain,
               [&, this](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t item = begin; item < end; ++item) {
                   const std::int64_t n = item / tiles / groups;
                   const std::int64_t y_at = n * y_picture_;
                   run_tile(x + n * x_picture_, residual == nullptr ? nullptr : residual + y_at, activation,
                            y + y_at, tiles_[static_cast<std::size_t>(item % tiles)], item / tiles % groups);
                 }
               });
}

}  // namespace descent
