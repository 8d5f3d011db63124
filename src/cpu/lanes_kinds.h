// What kernels with pictures innermost are templates over: an element type with the layout, the convolutions
// and the loops that go with it.
#pragma once

#include "cpu/aligned.h"
#include "cpu/lanes_bf16.h"
#include "cpu/lanes_conv.h"
#include "cpu/layouts.h"

#include <cstdint>

namespace descent {

struct F32Lanes {
  using Element = float;
  using Gather = LanesGather;
  using WeightGradient = LanesWeightGradient;
  static constexpr std::int64_t pictures = lanes;  // of a vector
  static constexpr Format format{DType::f32, n16chw};

  static LanesProblem problem(const Conv& op, const Shape& source, const Shape& destination) {
    return {op, source, destination};
  }
};

struct Bf16Lanes {
  using Element = Bf16;
  using Gather = Bf16LanesGather;
  using WeightGradient = Bf16LanesWeightGradient;
  static constexpr std::int64_t pictures = bf16_lanes;
  static constexpr Format format{DType::bf16, n32chw};

  static LanesProblem problem(const Conv& op, const Shape& source, const Shape& destination) {
    return bf16_problem(op, source, destination);
  }
};

// A convolution's weights in the order in which its loops read them.
template <class Gather>
class PackedWeights {
 public:
  PackedWeights() = default;
  explicit PackedWeights(const Gather& gather)
      : memory_(static_cast<std::size_t>(gather.packed_weights()) * sizeof(Packed)) {}

  void pack(const Gather& gather, const float* weights) {
    gather.pack(weights, static_cast<Packed*>(memory_.data()));
  }
  [[nodiscard]] const auto* data() const { return static_cast<const Packed*>(memory_.data()); }

 private:
  using Packed = typename Gather::Packed;
  AlignedBytes memory_;
};

}  // namespace descent
