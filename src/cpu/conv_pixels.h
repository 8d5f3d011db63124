// Forward of a convolution without groups for small work: batch 1, few channels, small pictures.
#pragma once

#include "cpu/aligned.h"
#include "cpu/context.h"
#include "cpu/lanes.h"
#include "cpu/layouts.h"
#include "descent/ops.h"
#include "descent/tensor.h"
#include "plan/relu_rule.h"

#include <cstdint>
#include <vector>

namespace descent {

class PixelConv {
 public:
  // `source` is nchw, nhwc or nchw16c; `destination` nhwc or nchw16c.
  PixelConv(const Conv& op, const Shape& source_shape, Layout source, const Shape& destination_shape,
            Layout destination);

  // Takes O×I×H×W weights and O shifts; derives from them what run() reads.
  void pack(const float* weights, const float* shifts);
  // `residual`, in y's layout, is added before the activation; both may be null.
  void run(const CpuContext& context, const float* x, const float* residual, const ReluRule* activation,
           float* y) const;

 private:
  // A tap's place: in x, in floats, and in the kernel.
  struct Tap {
    std::int64_t x = 0;
    std::int64_t kernel = 0;
  };
  // Neighbouring pixels of y that have the same taps.
  struct Tile {
    std::int64_t x_pixel = 0;  // from one to the next, in floats
    std::int64_t y = 0;        // the first one's number
    std::int64_t pixels = 1;
    std::vector<Tap> taps;
  };
  void run_tile(const float* x, const float* residual, const ReluRule* activation, float* y, const Tile& tile,
                std::int64_t group) const;

  std::int64_t pictures_;
  std::int64_t inputs_;
  std::int64_t outputs_;
  std::int64_t kernel_taps_;
  std::int64_t x_picture_;  // from one to the next, in floats
  std::int64_t x_block_;    // from one block of input channels to the next
  std::int64_t x_block_channels_;
  std::int64_t x_channel_;  // from one channel of a block to the next
  std::int64_t y_picture_;
  std::int64_t y_pixel_;
  std::int64_t y_block_;       // from one sixteen of output channels to the next
  std::int64_t group_blocks_;  // sixteens that are computed together
  std::vector<Tile> tiles_;
  AlignedBytes weights_;  // groups, then taps, inputs, and the outputs of the group
  AlignedBytes shifts_;
};

}  // namespace descent
