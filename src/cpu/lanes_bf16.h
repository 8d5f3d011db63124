// Convolution in bf16, thirty-two pictures to a vector: the layout n32chw, N/32 × C × H × W × 32. Products are
// of bf16 numbers, sums in f32.
#pragma once

#include "cpu/context.h"
#include "cpu/element.h"
#include "cpu/lanes_conv.h"
#include "cpu/lanes_products.h"

#include <cstdint>
#include <span>
#include <vector>

namespace descent {

// A tap's place: in a channel of x, in elements, and in the kernel.
struct Bf16Tap {
  std::int64_t x = 0;
  std::int64_t kernel = 0;
};

// One pixel of a block of outputs: y[o] = bias[o] + Σ w[o]·x over channels and taps.
struct Bf16Gather {
  const Bf16* x = nullptr;
  std::int64_t channels = 0;               // summed over, in pairs
  std::int64_t x_channel = 0;              // from one to the next, in elements
  const std::uint32_t* weights = nullptr;  // of two channels each: the first in the lower half
  std::int64_t kernel_taps = 0;            // weights of a pair of channels, for each output
  std::span<const Bf16Tap> taps;
  const float* bias = nullptr;  // null: none
  Bf16* y = nullptr;
  std::int64_t y_channel = 0;
  std::int64_t outputs = 0;  // 8, 4, 2 or 1
};

// The innermost loops, for one kind of processor.
struct Bf16Loops {
  void (*gather)(const Bf16Gather& block) = nullptr;
  void (*add_products)(const LanesProducts<Bf16>& block) = nullptr;
  const char* name = "";
};

[[nodiscard]] bool has_bf16_dot_products();  // this processor
[[nodiscard]] Bf16Loops bf16_dot_loops();    // only where it has them
[[nodiscard]] Bf16Loops bf16_portable_loops();
[[nodiscard]] inline Bf16Loops best_bf16_loops() {
  return has_bf16_dot_products() ? bf16_dot_loops() : bf16_portable_loops();
}

[[nodiscard]] inline LanesProblem bf16_problem(const Conv& op, const Shape& source, const Shape& destination) {
  LanesProblem problem(op, source, destination);
  problem.blocks = source[0] / bf16_lanes;
  return problem;
}

// Forward, or with the taps turned round the gradient of the input; as LanesGather does in f32.
class Bf16LanesGather {
 public:
  using Packed = std::uint32_t;  // the weights of two inputs

  static Bf16LanesGather forward(const LanesProblem& problem, const Bf16Loops& loops = best_bf16_loops()) {
    return {problem, loops, false};
  }
  static Bf16LanesGather backward(const LanesProblem& problem, const Bf16Loops& loops = best_bf16_loops()) {
    return {problem, loops, true};
  }

  // Weights as they are used: blocks of outputs, pairs of inputs, taps, the outputs of the block.
  [[nodiscard]] std::int64_t packed_weights() const { return (inputs_ + 1) / 2 * outputs_ * taps_; }
  void pack(const float* weights, Packed* packed) const;  // from O×I×H×W of the convolution
  // All pictures. `bias` may be null.
  void run(const CpuContext& context, const Bf16* x, const Packed* packed, const float* bias, Bf16* y) const;
  // `pictures` blocks of thirty-two from x and y on, by the thread that calls.
  void run(const Bf16* x, const Packed* packed, const float* bias, Bf16* y, std::int64_t pictures) const;
  // From one block of pictures to the next, in elements.
  [[nodiscard]] std::int64_t x_picture() const { return inputs_ * x_channel_; }
  [[nodiscard]] std::int64_t y_picture() const { return outputs_ * y_channel_; }

 private:
  struct Pixel {
    std::int64_t y = 0;  // in elements
    std::vector<Bf16Tap> taps;
  };
  Bf16LanesGather(const LanesProblem& problem, const Bf16Loops& loops, bool transposed);

  Bf16Loops loops_;
  bool transposed_;  // `outputs` are the convolution's inputs
  std::int64_t blocks_;
  std::int64_t inputs_;  // channels summed over
  std::int64_t outputs_;
  std::int64_t taps_;
  std::int64_t x_channel_ = 0;  // from one to the next, in elements
  std::int64_t y_channel_ = 0;
  std::vector<Pixel> pixels_;
};

// dw[o, i, k] = Σ dy[o]·x[i at k] and db[o] = Σ dy[o], over pictures and pixels; as LanesWeightGradient.
class Bf16LanesWeightGradient {
 public:
  // Without `bias` no sums of dy alone.
  Bf16LanesWeightGradient(const LanesProblem& problem, bool bias, const Bf16Loops& loops = best_bf16_loops());

  [[nodiscard]] std::int64_t parts() const { return parts_; }
  [[nodiscard]] std::int64_t stretch() const { return stretch_; }  // blocks of thirty-two pictures
  // Calls f(first block, blocks) for the stretches of a part, the last first.
  template <class Function>
  void for_stretches(std::int64_t part, Function&& f) const {
    const std::int64_t first = problem_.blocks * part / parts_;
    const std::int64_t last = problem_.blocks * (part + 1) / parts_;
    for (std::int64_t n = first + (last - first - 1) / stretch_ * stretch_; n >= first; n -= stretch_) {
      f(n, std::min(stretch_, last - n));
    }
  }
  // Floats of one part's partial sums, and of those of all parts.
  [[nodiscard]] std::int64_t partial() const {
    return (problem_.weights() + problem_.out_channels + lanes - 1) / lanes * lanes;
  }
  [[nodiscard]] std::int64_t scratch() const { return parts_ * partial(); }

  void clear(float* partial) const;
  // Adds a stretch of `pictures` blocks, of which x and dy are the first; those of dy are dy_picture apart.
  void add(const Bf16* x, const Bf16* dy, std::int64_t dy_picture, std::int64_t pictures, float* partial) const;
  // Sums the parts, in their order. `bias_gradient` may be null.
  void finish(const CpuContext& context, const float* scratch, float* weight_gradient,
              float* bias_gradient) const;

  // All of it.
  void run(const CpuContext& context, const Bf16* x, const Bf16* dy, float* scratch, float* weight_gradient,
           float* bias_gradient) const;

 private:
  LanesProblem problem_;
  bool bias_;
  Bf16Loops loops_;
  std::int64_t parts_;
  std::int64_t stretch_;
};

}  // namespace descent
