// The arithmetic of batch normalisation on one channel, from sums over the batch to what its loops use.
// constexpr, so that CUDA code can call it too.
#pragma once

#include "descent/ops.h"

#include <algorithm>
#include <cmath>

namespace descent {

// Σa and Σa·b over a channel's values.
struct ChannelSums {
  double first = 0;
  double second = 0;
};

// Mean and 1/σ.
struct ChannelMoments {
  double mean = 0;
  double factor = 0;
};

// y = (x − centre)·slope + shift
struct ChannelForward {
  float centre = 0;
  float slope = 1;
  float shift = 0;
};

// dx = (x − centre)·slope + (dy·gain + shift), centre as in forward.
struct ChannelBackward {
  float gain = 1;
  float slope = 0;
  float shift = 0;
};

struct RunningMoments {
  float* mean;
  float* variance;
};

// From Σx and Σx² of `count` values; moves the running statistics.
constexpr ChannelMoments batch_moments(const BatchNorm& op, const ChannelSums& sums, double count,
                                       RunningMoments running) {
  const double mean = sums.first / count;
  const double raw = sums.second / count - mean * mean;
  const double variance = raw < 0 ? 0 : raw;  // keeps what is not a number
  const auto move = [&](float& value, double towards) {
    value = static_cast<float>((1 - op.momentum) * static_cast<double>(value) + op.momentum * towards);
  };
  move(*running.mean, mean);
  move(*running.variance, variance * (count / std::max(count - 1, 1.0)));
  return {mean, 1 / std::sqrt(variance + op.eps)};
}

constexpr ChannelMoments running_moments(const BatchNorm& op, RunningMoments running) {
  return {static_cast<double>(*running.mean), 1 / std::sqrt(static_cast<double>(*running.variance) + op.eps)};
}

// γ and β as `scale` and `shift`. What rounding the mean to f32 loses is made up for in the shift.
constexpr ChannelForward channel_forward(const ChannelMoments& moments, float scale, float shift) {
  const double slope = static_cast<double>(scale) * moments.factor;
  const auto centre = static_cast<float>(moments.mean);
  return {
      centre, static_cast<float>(slope),
      static_cast<float>(static_cast<double>(shift) + (static_cast<double>(centre) - moments.mean) * slope)};
}

constexpr float normalised(const ChannelForward& by, float x) {
  return (x - by.centre) * by.slope + by.shift;
}

// Gradients of γ and β.
struct AffineGradient {
  double scale = 0;
  double shift = 0;
};

// From Σdy and Σdy·x.
constexpr AffineGradient affine_gradient(const ChannelMoments& moments, const ChannelSums& sums) {
  return {(sums.second - moments.mean * sums.first) * moments.factor, sums.first};
}

// dx = γ/(n·σ) · (n·dy − Σdy − x̂·Σ(dy·x̂))
constexpr ChannelBackward channel_backward(const ChannelMoments& moments, const AffineGradient& gradient,
                                           float scale, double count) {
  const double gain = static_cast<double>(scale) * moments.factor;
  const double slope = -gain * moments.factor * gradient.scale / count;
  const auto centre = static_cast<double>(static_cast<float>(moments.mean));
  return {static_cast<float>(gain), static_cast<float>(slope),
          static_cast<float>(-gain * gradient.shift / count + (centre - moments.mean) * slope)};
}

// dx of one element, from dy.
constexpr float norm_gradient(const ChannelForward& by, const ChannelBackward& back, float x, float dy) {
  return (x - by.centre) * back.slope + (dy * back.gain + back.shift);
}

}  // namespace descent
