// General ReLU on one number, or on the numbers of one vector. constexpr, so that CUDA code can call it too.
#pragma once

#include "descent/ops.h"

#include <limits>

namespace descent {

// y = min(leaky(x) + shift, most), as numbers of the kernel's type.
struct ReluRule {
  float leak, shift, most, lowest;

  constexpr explicit ReluRule(const GeneralRelu& op)
      : leak(static_cast<float>(op.leak)),
        shift(0.0F - static_cast<float>(op.sub)),  // so that −0 + shift is 0
        most(op.maxv ? static_cast<float>(*op.maxv) : std::numeric_limits<float>::infinity()),
        // 0 · −∞ would not be a number.
        lowest(op.leak == 0 ? std::numeric_limits<float>::lowest() : -std::numeric_limits<float>::infinity()) {}

  // A number as it is, or as all numbers of a vector.
  template <class T>
  [[gnu::always_inline]] static constexpr T all(float number) {
    return T{} + number;
  }
  template <class T>
  [[nodiscard, gnu::always_inline]] constexpr T before_limit(T x) const {
    const T bounded = x < lowest ? all<T>(lowest) : x;
    return (x > 0.0F ? x : leak * bounded) + shift;
  }
  template <class T>
  [[nodiscard, gnu::always_inline]] constexpr T value(T x) const {
    const T y = before_limit(x);
    return y > most ? all<T>(most) : y;  // keeps what is not a number
  }
  template <class T>
  [[nodiscard, gnu::always_inline]] constexpr T gradient(T x, T dy) const {
    const T slope = x > 0.0F ? dy : leak * dy;
    return before_limit(x) <= most ? slope : T{};
  }
  // Whether anything of the gradient comes through.
  [[nodiscard]] constexpr bool passes(float x) const { return before_limit(x) <= most; }
};

// The same where it has no limit and leaks: half of the arithmetic. (The gradients of this and the next differ
// from the rule above where an input or a gradient is not a finite number.)
struct LeakyRule {
  float leak, shift;

  template <class T>
  [[nodiscard, gnu::always_inline]] constexpr T value(T x) const {
    return (x > 0.0F ? x : leak * x) + shift;
  }
  template <class T>
  [[nodiscard, gnu::always_inline]] constexpr T gradient(T x, T dy) const {
    return x > 0.0F ? dy : leak * dy;
  }
  [[nodiscard]] constexpr bool passes(float /*x*/) const { return true; }
};

// And where it has no limit and does not leak.
struct PlainRule {
  float shift;

  template <class T>
  [[nodiscard, gnu::always_inline]] constexpr T value(T x) const {
    return (x < 0.0F ? T{} : x) + shift;
  }
  template <class T>
  [[nodiscard, gnu::always_inline]] constexpr T gradient(T x, T dy) const {
    return x > 0.0F ? dy : T{};
  }
  [[nodiscard]] constexpr bool passes(float x) const { return x > 0.0F; }
};

// In its place where there is none.
struct NoActivation {
  template <class T>
  [[nodiscard, gnu::always_inline]] constexpr T value(T x) const {
    return x;
  }
  template <class T>
  [[nodiscard, gnu::always_inline]] constexpr T gradient(T /*x*/, T dy) const {
    return dy;
  }
  [[nodiscard]] constexpr bool passes(float /*x*/) const { return true; }
};

// f(the rule of least arithmetic that does what `rule` does); null: NoActivation.
template <class Function>
[[gnu::always_inline]] constexpr decltype(auto) with_least_rule(const ReluRule* rule, Function&& f) {
  if (rule == nullptr) return f(NoActivation{});
  if (rule->most != std::numeric_limits<float>::infinity()) return f(*rule);
  if (rule->leak == 0) return f(PlainRule{rule->shift});
  return f(LeakyRule{rule->leak, rule->shift});
}

}  // namespace descent
