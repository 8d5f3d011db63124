// How far a device may be from the reference. An error is max |a − b| over a tensor, relative to the
// tensor's scale: its largest magnitude in the reference. All tests that compare with the reference
// take their bounds from here.
#pragma once

#include "descent/tensor.h"

#include <stdexcept>

namespace descent::test {

struct Tolerance {
  double value = 0;          // outputs, losses, running statistics, updated parameters
  double gradient = 0;       // of inputs and parameters
  double whole_network = 0;  // both, through a built-in network of many layers
};

inline Tolerance tolerance(DType type) {
  switch (type) {
    case DType::f64:
      return {1e-12, 1e-12, 1e-11};
    case DType::f32:
      return {3e-6, 1e-5, 5e-5};
    // Activations and gradients have eight digits: each rounding is off by up to 2⁻⁹ of its number, and a block
    // rounds what lies between its layers as well, which a normalisation then divides by a deviation.
    case DType::bf16:
      return {1.5e-2, 3e-2, 1e-1};
    default:
      throw std::logic_error("no tolerance is stated for this element type");
  }
}

// Winograd's algorithm rounds sums over whole tiles: twice as far off as direct sums on average
// (tests/winograd_test.cpp), and up to this many times where an activation cuts the largest outputs, which set
// the scale.
inline constexpr double winograd_rounding = 4;

// Of the reference's gradients against central differences in double, relative to the same scale.
inline constexpr double difference_tolerance = 1e-6;

}  // namespace descent::test
