// A convolution's weights in the order in which its loops read them.
#pragma once

#include "cpu/aligned.h"
#include "cpu/lanes_conv.h"

#include <cstddef>

namespace descent {

template <class Element>
class PackedWeights {
 public:
  PackedWeights() = default;
  explicit PackedWeights(const LanesGather<Element>& gather)
      : memory_(static_cast<std::size_t>(gather.packed_weights()) * sizeof(Packed)) {}

  void pack(const LanesGather<Element>& gather, const float* weights) {
    gather.pack(weights, static_cast<Packed*>(memory_.data()));
  }
  [[nodiscard]] const auto* data() const { return static_cast<const Packed*>(memory_.data()); }

 private:
  using Packed = typename LanesGather<Element>::Packed;
  AlignedBytes memory_;
};

}  // namespace descent
