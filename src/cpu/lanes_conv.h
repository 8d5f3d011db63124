// The three directions of a convolution with pictures innermost, as many as a vector holds: in f32 sixteen (the
// layout n16chw), in bf16 thirty-two (n32chw), with products of bf16 numbers and sums in f32.
#pragma once

#include "cpu/context.h"
#include "cpu/lanes.h"
#include "cpu/lanes_loops.h"
#include "cpu/parallel.h"
#include "descent/ops.h"
#include "descent/tensor.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace descent {

// Shapes of one convolution without groups.
struct LanesProblem {
  std::int64_t blocks = 0;  // of pictures
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  Axis rows;
  Axis columns;

  // `pictures`: of a vector.
  LanesProblem(const Conv& op, const Shape& source, const Shape& destination, std::int64_t pictures);
  [[nodiscard]] std::int64_t taps() const { return rows.kernel * columns.kernel; }
  [[nodiscard]] std::int64_t weights() const { return in_channels * out_channels * taps(); }
};

// Blocks of pictures.
template <class Element>
struct LanesPictures {
  const Element* first = nullptr;
  std::int64_t step = 0;  // from one to the next, in elements
};
// The same, to be written.
template <class Element>
struct LanesPlaces {
  Element* first = nullptr;
  std::int64_t step = 0;
};

// y[o] = b[o] + Σ w[o, i, k]·x[i at k] over input channels and taps, for any pair of tensors: with the
// convolution's own taps that is its forward, with the taps turned round the gradient of its input.
template <class Element>
class LanesGather {
 public:
  using Packed = typename LanesElement<Element>::Packed;
  using Loops = LanesLoops<Element>;
  static LanesGather forward(const LanesProblem& problem, const Loops& loops = best_loops<Element>()) {
    return {problem, loops, false};
  }
  // y: the input's gradient, x: the output's.
  static LanesGather backward(const LanesProblem& problem, const Loops& loops = best_loops<Element>()) {
    return {problem, loops, true};
  }

  // Weights as they are used: blocks of outputs, then inputs (or several together), taps, and the outputs of
  // the block.
  [[nodiscard]] std::int64_t packed_weights() const { return outputs_ * packed_an_output(); }
  void pack(const float* weights, Packed* packed) const;  // from O×I×H×W of the convolution
  // All pictures. `bias` may be null.
  void run(const CpuContext& context, const Element* x, const Packed* packed, const float* bias,
           Element* y) const;
  // `pictures` blocks from x and y on, those of x `x_step` elements apart, of y `y_step`, by the thread that
  // calls. `activation`: what follows; may be null.
  void run(const Element* x, std::int64_t x_step, const Packed* packed, const float* bias, Element* y,
           std::int64_t y_step, std::int64_t pictures, const ReluRule* activation = nullptr) const;
  // How many blocks run() had best be given at once, while they are in cache.
  [[nodiscard]] std::int64_t together() const { return together_; }
  // Calls f(first block, blocks, slot) for sets of at most together() blocks, as many sets for each of the
  // context's threads where there are blocks enough; `slot`, below the number of threads, is for memory of its
  // own.
  template <class Function>
  void for_sets(const CpuContext& context, Function&& f) const {
    const std::int64_t threads = std::max(context.threads, 1);
    const std::int64_t fewest_sets = (blocks_ - 1) / together_ + 1;
    const std::int64_t sets = std::min((fewest_sets + threads - 1) / threads * threads, blocks_);
    parallel_parts(context.threads, sets, PartOrder::first_to_last,
                   [&, this](std::int64_t set, std::int64_t slot) {
                     const std::int64_t n = blocks_ * set / sets;
                     f(n, blocks_ * (set + 1) / sets - n, slot);
                   });
  }
  // From one block of pictures to the next, in elements.
  [[nodiscard]] std::int64_t x_picture() const { return inputs_ * x_channel_; }
  [[nodiscard]] std::int64_t y_picture() const { return outputs_ * y_channel_; }

 private:
  static constexpr std::int64_t width = LanesElement<Element>::pictures;
  // Neighbouring pixels of y that have the same taps.
  struct Tile {
    std::int64_t y = 0;  // the first, in elements
    std::int64_t pixels = 1;
    std::int64_t x_pixel = 0;  // from one to the next, in elements
    std::int64_t y_pixel = 0;
    std::vector<LanesTap> taps;
  };
  LanesGather(const LanesProblem& problem, const Loops& loops, bool transposed);
  [[nodiscard]] std::int64_t channels_at_once() const;
  void run_tile(const Tile& tile, LanesBlock<Element>& block, std::int64_t x_step, std::int64_t y_step,
                std::int64_t pictures) const;
  [[nodiscard]] std::int64_t packed_an_output() const {
    constexpr std::int64_t together = LanesElement<Element>::inputs;
    return (inputs_ + together - 1) / together * taps_;
  }

  Loops loops_;
  bool transposed_;  // `outputs` are the convolution's inputs
  std::int64_t blocks_;
  std::int64_t inputs_;  // channels summed over
  std::int64_t outputs_;
  std::int64_t taps_;
  std::int64_t x_channel_;  // from one to the next, in elements
  std::int64_t y_channel_;
  std::vector<Tile> tiles_;
  std::int64_t together_ = 1;
  std::int64_t channels_ = 1;  // summed over in one go
};

// dw[o, i, k] = Σ dy[o]·x[i at k] and db[o] = Σ dy[o], over pictures and pixels. The batch is summed in parts,
// each in stretches of pictures whose dy stays in the first cache.
template <class Element>
class LanesWeightGradient {
 public:
  using Loops = LanesLoops<Element>;
  // Without `bias` no sums of dy alone.
  LanesWeightGradient(const LanesProblem& problem, bool bias, const Loops& loops = best_loops<Element>());

  [[nodiscard]] std::int64_t parts() const { return parts_; }
  [[nodiscard]] std::int64_t stretch() const { return stretch_; }  // blocks of pictures
  // Calls f(first block, blocks) for the stretches of a part, the last first: its pictures were looked at last.
  template <class Function>
  void for_stretches(std::int64_t part, Function&& f) const {
    const std::int64_t first = problem_.blocks * part / parts_;
    const std::int64_t last = problem_.blocks * (part + 1) / parts_;
    for (std::int64_t n = first + (last - first - 1) / stretch_ * stretch_; n >= first; n -= stretch_) {
      f(n, std::min(stretch_, last - n));
    }
  }
  // Floats of one part's partial sums, and of those of all parts; they start at a vector's boundary.
  [[nodiscard]] std::int64_t partial() const {
    return (problem_.weights() + problem_.out_channels + lanes - 1) / lanes * lanes;
  }
  [[nodiscard]] std::int64_t scratch() const { return parts_ * partial(); }
  // Where in a partial sum stands that of an output channel with a pair of input channel and tap, or alone.
  [[nodiscard]] std::int64_t place(std::int64_t output, std::int64_t pair) const;
  [[nodiscard]] std::int64_t bias_place(std::int64_t output) const { return problem_.weights() + output; }

  void clear(float* partial) const;
  // Adds a stretch of `pictures` blocks.
  void add(const LanesPictures<Element>& x, const LanesPictures<Element>& dy, std::int64_t pictures,
           float* partial) const;
  // Sums the parts, in their order. `bias_gradient` may be null.
  void finish(const CpuContext& context, const float* scratch, float* weight_gradient,
              float* bias_gradient) const;

  // All of it.
  void run(const CpuContext& context, const Element* x, const Element* dy, float* scratch,
           float* weight_gradient, float* bias_gradient) const;

 private:
  static constexpr std::int64_t width = LanesElement<Element>::pictures;
  // What a tap, or several neighbours in a row of the kernel, reached within a strip of output rows: a
  // rectangle, without edges.
  struct Reach {
    std::int64_t x = 0;  // its first pixel in a channel, in elements
    std::int64_t dy = 0;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t tap = 0;  // the first
    std::int64_t taps = 1;
  };
  [[nodiscard]] std::vector<Reach> reaches(std::int64_t top, std::int64_t bottom) const;
  void add_strip(const std::vector<Reach>& strip, const LanesPictures<Element>& x,
                 const LanesPictures<Element>& dy, std::int64_t pictures, std::int64_t output,
                 float* partial) const;

  LanesProblem problem_;
  bool bias_;
  Loops loops_;
  std::int64_t stretch_;
  std::int64_t parts_;
  std::vector<std::vector<Reach>> strips_;
};

}  // namespace descent
