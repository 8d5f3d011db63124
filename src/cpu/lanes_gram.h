// The products of what each two of a convolution's taps read, summed over pictures and pixels: all that is to
// be known of the input for the mean and the variance of any output, and for the sums of outputs times inputs.
#pragma once

#include "cpu/lanes_conv.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace descent {

class LanesGram {
 public:
  explicit LanesGram(const LanesProblem& problem);

  // Pairs of input channel and tap: readers 0 to taps() − 1. One more reads ones.
  [[nodiscard]] std::int64_t taps() const { return taps_; }
  // Doubles of the sums.
  [[nodiscard]] std::int64_t size() const { return readers_ * readers_; }
  // Assigns the sums over one block of pictures.
  void find(const float* x, double* sums) const;

  // Σ of what reader `a` reads times what `b` does; of what it reads alone.
  [[nodiscard]] double product(const double* sums, std::int64_t a, std::int64_t b) const {
    return sums[std::min(a, b) * readers_ + std::max(a, b)];
  }
  [[nodiscard]] double sum(const double* sums, std::int64_t a) const { return product(sums, a, taps_); }

 private:
  std::int64_t taps_;
  std::int64_t readers_ = 0;  // with some that read zeros, for whole squares of them
  // Of each output pixel, for each reader, where in a block it reads; negative: constants.
  std::vector<std::int32_t> places_;
};

}  // namespace descent
