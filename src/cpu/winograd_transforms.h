// Winograd's convolution of 3 taps by products at 6 points: y = Aᵀ[(G·g) ⊙ (Bᵀ·d)] gives 4 outputs y of 6
// numbers d and 3 weights g (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015; as
// matrices, of Toom and Cook's products of polynomials). In two dimensions along rows, then along columns.
//
// Points: 0, ±a, ±b and ∞. Usual are 1 and 2; with 5/8 and 3/2, all of whose powers here are exact in f32, sums
// over 64 channels are off by 1.9 times what the direct convolution in f32 is off by, instead of 3.8 times
// (`tests/winograd_test.cpp` keeps it so).
#pragma once

#include <array>
#include <cstddef>

namespace descent {

struct WinogradPoints {
  static constexpr float a = 0.625F;
  static constexpr float b = 1.5F;
  static constexpr float a2 = a * a;
  static constexpr float b2 = b * b;
  static constexpr float a3 = a * a2;
  static constexpr float b3 = b * b2;
  // Of the polynomial over all points but ∞, x(x² − a²)(x² − b²): its coefficients, and its slopes at the
  // points.
  static constexpr float sum = a2 + b2;
  static constexpr float product = a2 * b2;
  static constexpr float slope_0 = a2 * b2;
  static constexpr float slope_a = 2 * a2 * (a2 - b2);
  static constexpr float slope_b = 2 * b2 * (b2 - a2);
};

// T is a number, or a vector of such; results stand in the order 0, a, −a, b, −b, ∞.

// Bᵀ·d.
template <class T>
[[nodiscard, gnu::always_inline]] inline std::array<T, 6> at_points(const std::array<T, 6>& d) {
  using P = WinogradPoints;
  const T even_a = d[4] - P::b2 * d[2];
  const T odd_a = P::a * (d[3] - P::b2 * d[1]);
  const T even_b = d[4] - P::a2 * d[2];
  const T odd_b = P::b * (d[3] - P::a2 * d[1]);
  return {
      d[4] - P::sum * d[2] + P::product * d[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b,
      d[5] - P::sum * d[3] + P::product * d[1]};
}

// G·g.
template <class T>
[[nodiscard, gnu::always_inline]] inline std::array<T, 6> weights_at_points(const std::array<T, 3>& g) {
  using P = WinogradPoints;
  const T even_a = (g[0] + P::a2 * g[2]) * (1 / P::slope_a);
  const T odd_a = g[1] * (P::a / P::slope_a);
  const T even_b = (g[0] + P::b2 * g[2]) * (1 / P::slope_b);
  const T odd_b = g[1] * (P::b / P::slope_b);
  return {g[0] * (1 / P::slope_0), even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, g[2]};
}

// Aᵀ·m: the outputs.
template <class T>
[[nodiscard, gnu::always_inline]] inline std::array<T, 4> from_points(const std::array<T, 6>& m) {
  using P = WinogradPoints;
  const T even_a = m[1] + m[2];
  const T odd_a = m[1] - m[2];
  const T even_b = m[3] + m[4];
  const T odd_b = m[3] - m[4];
  return {m[0] + even_a + even_b, P::a * odd_a + P::b * odd_b, P::a2 * even_a + P::b2 * even_b,
          P::a3 * odd_a + P::b3 * odd_b + m[5]};
}

// The gradients go the other way: A·dy for those of the outputs, …
template <class T>
[[nodiscard, gnu::always_inline]] inline std::array<T, 6> gradients_at_points(const std::array<T, 4>& dy) {
  using P = WinogradPoints;
  const T even_a = dy[0] + P::a2 * dy[2];
  const T odd_a = P::a * dy[1] + P::a3 * dy[3];
  const T even_b = dy[0] + P::b2 * dy[2];
  const T odd_b = P::b * dy[1] + P::b3 * dy[3];
  return {dy[0], even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, dy[3]};
}

// … and Gᵀ·u for those of the weights.
template <class T>
[[nodiscard, gnu::always_inline]] inline std::array<T, 3> weight_gradients(const std::array<T, 6>& u) {
  using P = WinogradPoints;
  const T even_a = (u[1] + u[2]) * (1 / P::slope_a);
  const T odd_a = (u[1] - u[2]) * (P::a / P::slope_a);
  const T even_b = (u[3] + u[4]) * (1 / P::slope_b);
  const T odd_b = (u[3] - u[4]) * (P::b / P::slope_b);
  return {u[0] * (1 / P::slope_0) + even_a + even_b, odd_a + odd_b, P::a2 * even_a + P::b2 * even_b + u[5]};
}

// `rule` of every column; its results become a row, so that two passes come out upright.
template <class T, std::size_t rows, std::size_t columns, std::size_t to, class Rule>
[[gnu::always_inline]] inline void columns_to_rows(const T (&values)[rows][columns], T (&results)[columns][to],
                                                   const Rule& rule) {
#pragma GCC unroll 6
  for (std::size_t column = 0; column < columns; ++column) {
    std::array<T, rows> line;
#pragma GCC unroll 6
    for (std::size_t row = 0; row < rows; ++row) line[row] = values[row][column];
    const std::array<T, to> done = rule(line);
#pragma GCC unroll 6
    for (std::size_t i = 0; i < to; ++i) results[column][i] = done[i];
  }
}

// Both dimensions: `rule` of every column, then of every row.
template <class T, std::size_t from, std::size_t to, class Rule>
[[gnu::always_inline]] inline void in_two_dimensions(const T (&values)[from][from], T (&results)[to][to],
                                                     const Rule& rule) {
  T half[from][to];
  columns_to_rows(values, half, rule);
  columns_to_rows(half, results, rule);
}

}  // namespace descent
