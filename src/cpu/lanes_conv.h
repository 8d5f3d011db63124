// The three directions of a convolution in the layout n16chw.
#pragma once

#include "cpu/context.h"
#include "cpu/lanes.h"
#include "descent/ops.h"
#include "descent/tensor.h"

#include <cstdint>
#include <vector>

namespace descent {

// Shapes of one convolution without groups; `pictures` in blocks of sixteen.
struct LanesProblem {
  std::int64_t blocks = 0;
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  Axis rows;
  Axis columns;

  LanesProblem(const Conv& op, const Shape& source, const Shape& destination);
  [[nodiscard]] std::int64_t taps() const { return rows.kernel * columns.kernel; }
  [[nodiscard]] std::int64_t weights() const { return in_channels * out_channels * taps(); }
};

// y[o] = b[o] + Σ w[o, i, k]·x[i at k] over input channels and taps, for any pair of tensors: with the
// convolution's own taps that is its forward, with the taps turned round the gradient of its input.
class LanesGather {
 public:
  static LanesGather forward(const LanesProblem& problem) { return {problem, false}; }
  // y: the input's gradient, x: the output's.
  static LanesGather backward(const LanesProblem& problem) { return {problem, true}; }

  // Weights as they are used: blocks of outputs, then inputs, taps, and the outputs of the block.
  [[nodiscard]] std::int64_t packed_weights() const { return inputs_ * outputs_ * taps_; }
  void pack(const float* weights, float* packed) const;  // from O×I×H×W of the convolution
  // `bias` may be null.
  void run(const CpuContext& context, const float* x, const float* packed, const float* bias, float* y) const;

 private:
  // A tap's place: in a channel of x, in floats, and in the kernel.
  struct Tap {
    std::int64_t x = 0;
    std::int64_t kernel = 0;
  };
  // Neighbouring pixels of y that have the same taps.
  struct Tile {
    std::int64_t y = 0;  // the first, in floats
    std::int64_t pixels = 1;
    std::int64_t x_pixel = 0;  // from one to the next, in floats
    std::int64_t y_pixel = 0;
    std::vector<Tap> taps;
  };
  LanesGather(const LanesProblem& problem, bool transposed);
  void run_block(const float* x, const float* weights, const float* bias, float* y, std::int64_t size) const;

  bool transposed_;  // `outputs` are the convolution's inputs
  std::int64_t blocks_;
  std::int64_t inputs_;  // channels summed over
  std::int64_t outputs_;
  std::int64_t taps_;
  std::int64_t x_channel_;  // from one to the next, in floats
  std::int64_t y_channel_;
  std::vector<std::int64_t> starts_;  // of blocks of output channels
  std::vector<Tile> tiles_;
};

// dw[o, i, k] = Σ dy[o]·x[i at k] and db[o] = Σ dy[o], over pictures and pixels.
class LanesWeightGradient {
 public:
  explicit LanesWeightGradient(const LanesProblem& problem);

  // Floats of scratch.
  [[nodiscard]] std::int64_t scratch() const { return parts_ * (problem_.weights() + problem_.out_channels); }
  // `bias_gradient` may be null.
  void run(const CpuContext& context, const float* x, const float* dy, float* scratch, float* weight_gradient,
           float* bias_gradient) const;

 private:
  void run_part(std::int64_t part, const float* x, const float* dy, float* weights, float* bias) const;

  LanesProblem problem_;
  std::int64_t parts_;
};

}  // namespace descent
