// The course's small demonstrations, as functions: averages, signs of gradients, paths of optimizers, weight
// decay. Everything is in double precision and uses the optimizers' own rules (descent/optimizer.h).
#pragma once

#include "descent/optimizer.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace descent::demo {

// A device's update, number by number, for a few weights.
class DoubleUpdate {
 public:
  DoubleUpdate(Optimizer optimizer, std::size_t weights, Decay decay = Decay::decoupled);

  void step(std::span<double> weights, std::span<const double> gradients);
  void set_rate(double rate);

 private:
  Optimizer optimizer_;
  Decay decay_;
  std::vector<double> state_;
  std::int64_t step_ = 0;
};

// Exponentially weighted average from 0, without correction: avg ← β·avg + (1 − β)·y.
[[nodiscard]] std::vector<double> weighted_average(std::span<const double> values, double beta);

struct Points {
  std::vector<double> x;
  std::vector<double> y;
};
// 100 points x in [−4, 4], y = 1 − (x/3)² + 0.1·N(0, 1).
[[nodiscard]] Points noisy_parabola(std::uint64_t seed);

// What a rule subtracts at a rate of 1 for a gradient that comes after `history` gradients of 1.
struct SignRow {
  double gradient = 0;
  double memoryless = 0;  // g/√g²
  double first_rmsprop = 0, first_adam = 0;
  double later_rmsprop = 0, later_adam = 0;
};
inline constexpr std::array<double, 6> sign_gradients{-100, -1, -0.01, 0.01, 1, 100};
[[nodiscard]] std::vector<SignRow> sign_rows(std::int64_t history);

// A narrow valley: f(x, y) = x²/20 + y².
struct Place {
  double x = 0;
  double y = 0;
};
[[nodiscard]] double valley(Place at);
[[nodiscard]] Place valley_gradient(Place at);

struct Path {
  std::string optimizer;
  double rate = 0;
  std::vector<Place> places;  // the first is the start
};
// Every optimizer from (−8, 2.5); rules that divide by the gradient's size take steps of 0.3 or so.
[[nodiscard]] std::vector<Path> valley_paths(std::int64_t steps);

// A line through points: slope and intercept by least squares, one example a step. The mean squared error over
// all points after every step.
struct LineFit {
  std::string optimizer;
  double rate = 0;
  double slope = 0;
  double intercept = 0;
  std::vector<double> errors;
};
inline constexpr double true_slope = 2;
inline constexpr double true_intercept = 3;
[[nodiscard]] Points line_points(std::uint64_t seed);
[[nodiscard]] std::vector<LineFit> line_fits(const Points& points, std::int64_t epochs, bool anneal);

// Three weights after four given gradients, with a weight decay of 0.1.
struct DecayRow {
  std::string optimizer;
  Decay decay = Decay::decoupled;
  std::array<double, 3> weights{};
};
[[nodiscard]] std::vector<DecayRow> decay_rows();

// Two weights that only noise moves: one gradient is large, one small. Their sizes after each step, under
// either decay. Decoupled decay shrinks both alike; L2 under Adam hardly touches the one of large gradients.
struct DecayCurve {
  std::string optimizer;
  Decay decay = Decay::decoupled;
  std::vector<double> large;  // weight whose gradients are large
  std::vector<double> small;
};
[[nodiscard]] std::vector<DecayCurve> decay_curves(std::int64_t steps, std::uint64_t seed);

}  // namespace descent::demo
