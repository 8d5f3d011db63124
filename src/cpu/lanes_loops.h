// What the convolution with pictures innermost is a template over: an element type, the sizes that go with it,
// and the innermost loops for it.
#pragma once

#include "cpu/lanes.h"
#include "cpu/layouts.h"
#include "plan/element.h"
#include "plan/relu_rule.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

namespace descent {

template <class Element>
struct LanesElement;

template <>
struct LanesElement<float> {
  static constexpr Format format{DType::f32, n16chw};
  static constexpr std::int64_t pictures = lanes;  // of a vector
  static constexpr std::int64_t pixels = 3;        // neighbours computed together, at most
  static constexpr std::int64_t inputs = 1;        // whose weights for an output lie together
  using Packed = float;

  static Packed packed(const std::array<float, inputs>& weights) { return weights[0]; }
};

template <>
struct LanesElement<Bf16> {
  static constexpr Format format{DType::bf16, n32chw};
  static constexpr std::int64_t pictures = bf16_lanes;
  static constexpr std::int64_t pixels = 1;
  static constexpr std::int64_t inputs = 2;
  using Packed = std::uint32_t;  // the first input's weight in the lower half

  static Packed packed(const std::array<float, inputs>& weights) {
    return to_bf16(weights[0]).bits | std::uint32_t{to_bf16(weights[1]).bits} << 16U;
  }
};

// A tap's place: in a channel of x, in elements, and in the kernel.
struct LanesTap {
  std::int64_t x = 0;
  std::int64_t kernel = 0;
};

// Neighbouring pixels of a block of outputs: y[o] = activation(bias[o] + Σ w[o, i, k]·x[i at k]) over channels
// and taps.
template <class Element>
struct LanesBlock {
  const Element* x = nullptr;
  std::int64_t channels = 0;   // summed over
  std::int64_t x_channel = 0;  // from one of them to the next, in elements
  const typename LanesElement<Element>::Packed* weights = nullptr;
  std::int64_t kernel_taps = 0;  // weights of an input channel, or of inputs together, for each output
  std::span<const LanesTap> taps;
  const float* bias = nullptr;  // null: none
  bool continues = false;  // instead of the bias, sums go on from what y holds: only for loops with most_read
  const ReluRule* activation = nullptr;  // null: none
  Element* y = nullptr;
  std::int64_t y_channel = 0;
  std::int64_t outputs = 0;  // 8, 4, 2 or 1
  std::int64_t pixels = 1;   // 3, 2 or 1, but no more than go together
  std::int64_t x_pixel = 0;  // from one to the next, in elements
  std::int64_t y_pixel = 0;
};

// One axis of a box of pixels and pictures, with the way from one to the next in elements.
struct LanesSteps {
  std::int64_t count = 0;
  std::int64_t x = 0;
  std::int64_t dy = 0;
};

// gradient[i·input_step + o] += Σ dy[o]·x[i] over pixels and pictures; the longest axis is innermost.
template <class Element>
struct LanesBox {
  const Element* x = nullptr;  // the first, of the first input channel
  const Element* dy = nullptr;
  std::int64_t x_channel = 0;
  std::int64_t dy_channel = 0;
  LanesSteps outer, middle, inner;
  std::int64_t outputs = 0;  // 8, 4, 2 or 1, but no more than the loops take
  std::int64_t inputs = 0;   // 3, 2 or 1
  float* gradient = nullptr;
  std::int64_t input_step = 0;
};

// The innermost loops, for one kind of processor.
template <class Element>
struct LanesLoops {
  void (*gather)(const LanesBlock<Element>& block) = nullptr;
  void (*add_products)(const LanesBox<Element>& box) = nullptr;
  float (*sum)(const Element* values, std::int64_t count) = nullptr;  // of whole vectors
  std::int64_t most_outputs = 8;                                      // of a box given to add_products
  // Bytes of x for a block: of more, fewer channels are summed at a time. In bf16 never, y is rounded.
  std::int64_t most_read = std::numeric_limits<std::int64_t>::max();
};

[[nodiscard]] LanesLoops<float> f32_avx512_loops();
[[nodiscard]] LanesLoops<float> f32_avx2_loops();  // for shorter and fewer registers
[[nodiscard]] LanesLoops<Bf16> bf16_portable_loops();
[[nodiscard]] bool has_bf16_dot_products();       // this processor
[[nodiscard]] LanesLoops<Bf16> bf16_dot_loops();  // only where it has them

template <class Element>
[[nodiscard]] LanesLoops<Element> best_loops() {
  if constexpr (std::is_same_v<Element, float>) {
    return has_avx512_registers() ? f32_avx512_loops() : f32_avx2_loops();
  } else {
    return has_bf16_dot_products() ? bf16_dot_loops() : bf16_portable_loops();
  }
}

}  // namespace descent
