// The optimizers. Each is one struct: its options, its state slots and its rule, written once for all
// devices and number types. To add one: a struct here and its name in Optimizer; nothing else.
//
// The frame around every rule (the device's one pass over the flat buffer) does the rest:
//   g ← gradient · scale (clipping);  L2: g ← g + wd·w;  decoupled: w ← w·(1 − rate·wd);
//   w ← w − rule(g).
#pragma once

#include "descent/options.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace descent {

// What a rule may know of the moment. Rate is that of the parameter's group.
struct UpdateMoment {
  double rate = 0;        // learning rate
  std::int64_t step = 1;  // 1 for the first update; counts batches, never parameters
};

// w ← w − rate·g
struct Sgd {
  static constexpr std::string_view name = "sgd";
  static constexpr std::string_view summary = "plain gradient descent";
  static constexpr std::size_t slots = 0;
  double learning_rate = 0.4;
  double weight_decay = 0;
  static constexpr std::array<OptionOf<Sgd>, 0> options{};

  template <class Real>
  struct Step {
    Real rate;
    constexpr Step(const Sgd& /*rule*/, UpdateMoment now) : rate(static_cast<Real>(now.rate)) {}
    constexpr Real operator()(Real gradient, std::array<Real, 0>& /*state*/) const { return rate * gradient; }
  };
};

// The course's damped momentum: a ← m·a + (1−m)·g;  w ← w − rate·a
struct Momentum {
  static constexpr std::string_view name = "momentum";
  static constexpr std::string_view summary = "damped momentum, an average of gradients (the course's)";
  static constexpr std::size_t slots = 1;
  double learning_rate = 1.5;
  double weight_decay = 0;
  double momentum = 0.9;
  static constexpr std::array options{
      OptionOf<Momentum>{"momentum", &Momentum::momentum, 0, 1, "share of the old average kept"}};

  template <class Real>
  struct Step {
    Real rate, keep, take;
    constexpr Step(const Momentum& rule, UpdateMoment now)
        : rate(static_cast<Real>(now.rate)),
          keep(static_cast<Real>(rule.momentum)),
          take(static_cast<Real>(1 - rule.momentum)) {}
    constexpr Real operator()(Real gradient, std::array<Real, 1>& state) const {
      state[0] = keep * state[0] + take * gradient;
      return rate * state[0];
    }
  };
};

// Undamped momentum (torch.optim.SGD): a ← m·a + g;  w ← w − rate·a
struct HeavyBall {
  static constexpr std::string_view name = "heavy-ball";
  static constexpr std::string_view summary = "undamped momentum (torch.optim.SGD)";
  static constexpr std::size_t slots = 1;
  double learning_rate = 0.15;
  double weight_decay = 0;
  double momentum = 0.9;
  static constexpr std::array options{
      OptionOf<HeavyBall>{"momentum", &HeavyBall::momentum, 0, 1, "share of the old sum kept"}};

  template <class Real>
  struct Step {
    Real rate, keep;
    constexpr Step(const HeavyBall& rule, UpdateMoment now)
        : rate(static_cast<Real>(now.rate)), keep(static_cast<Real>(rule.momentum)) {}
    constexpr Real operator()(Real gradient, std::array<Real, 1>& state) const {
      state[0] = keep * state[0] + gradient;
      return rate * state[0];
    }
  };
};

// Nesterov's momentum (torch.optim.SGD(nesterov=True)): a ← m·a + g;  w ← w − rate·(g + m·a)
struct Nesterov {
  static constexpr std::string_view name = "nesterov";
  static constexpr std::string_view summary = "undamped momentum that looks ahead";
  static constexpr std::size_t slots = 1;
  double learning_rate = 0.15;
  double weight_decay = 0;
  double momentum = 0.9;
  static constexpr std::array options{
      OptionOf<Nesterov>{"momentum", &Nesterov::momentum, 0, 1, "share of the old sum kept"}};

  template <class Real>
  struct Step {
    Real rate, keep;
    constexpr Step(const Nesterov& rule, UpdateMoment now)
        : rate(static_cast<Real>(now.rate)), keep(static_cast<Real>(rule.momentum)) {}
    constexpr Real operator()(Real gradient, std::array<Real, 1>& state) const {
      state[0] = keep * state[0] + gradient;
      return rate * (gradient + keep * state[0]);
    }
  };
};

// s ← β2·s + (1−β2)·g², s = g² at the first step;  w ← w − rate·g / (√s + eps)
struct RmsProp {
  static constexpr std::string_view name = "rmsprop";
  static constexpr std::string_view summary = "gradient over its root mean square";
  static constexpr std::size_t slots = 1;
  double learning_rate = 3e-3;
  double weight_decay = 0;
  double beta2 = 0.99;
  double eps = 1e-5;
  static constexpr std::array options{
      OptionOf<RmsProp>{"beta2", &RmsProp::beta2, 0, 1, "share of the old mean square kept"},
      OptionOf<RmsProp>{"eps", &RmsProp::eps, 0, detail::no_limit, "added to the root"}};

  template <class Real>
  struct Step {
    Real rate, keep, take, eps;
    constexpr Step(const RmsProp& rule, UpdateMoment now)
        : rate(static_cast<Real>(now.rate)),
          keep(static_cast<Real>(now.step == 1 ? 0 : rule.beta2)),
          take(static_cast<Real>(now.step == 1 ? 1 : 1 - rule.beta2)),
          eps(static_cast<Real>(rule.eps)) {}
    constexpr Real operator()(Real gradient, std::array<Real, 1>& state) const {
      state[0] = keep * state[0] + take * (gradient * gradient);
      return rate * gradient / (std::sqrt(state[0]) + eps);
    }
  };
};

namespace detail {

// What the Adam family shares: two averages and their bias corrections 1 − βᵗ, in double on the host.
template <class Real>
struct AdamAverages {
  Real keep1, take1, keep2, take2, correct1, correct2;

  template <class Rule>
  constexpr AdamAverages(const Rule& rule, UpdateMoment now)
      : keep1(static_cast<Real>(rule.beta1)),
        take1(static_cast<Real>(1 - rule.beta1)),
        keep2(static_cast<Real>(rule.beta2)),
        take2(static_cast<Real>(1 - rule.beta2)),
        correct1(static_cast<Real>(1 / (1 - std::pow(rule.beta1, static_cast<double>(now.step))))),
        correct2(static_cast<Real>(1 / (1 - std::pow(rule.beta2, static_cast<double>(now.step))))) {}

  // Moves both averages; returns the corrected first one. `size` is g² or |g|.
  constexpr Real move(Real gradient, Real size, std::array<Real, 2>& state) const {
    state[0] = keep1 * state[0] + take1 * gradient;
    state[1] = keep2 * state[1] + take2 * size;
    return correct1 * state[0];
  }
  constexpr Real second(const std::array<Real, 2>& state) const { return correct2 * state[1]; }
};

template <class Rule>
inline constexpr std::array adam_options{
    OptionOf<Rule>{"beta1", &Rule::beta1, 0, 1, "share of the old gradient average kept"},
    OptionOf<Rule>{"beta2", &Rule::beta2, 0, 1, "share of the old size average kept"},
    OptionOf<Rule>{"eps", &Rule::eps, 0, no_limit, "keeps the divisor from zero"}};

}  // namespace detail

// The experiment's Adam: w ← w − rate·m̂ / (√v̂ + eps)
struct Adam {
  static constexpr std::string_view name = "adam";
  static constexpr std::string_view summary =
      "averaged gradient over its root mean square (eps outside the root)";
  static constexpr std::size_t slots = 2;
  double learning_rate = 6e-3;
  double weight_decay = 0;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double eps = 1e-5;
  static constexpr auto& options = detail::adam_options<Adam>;

  template <class Real>
  struct Step {
    detail::AdamAverages<Real> averages;
    Real rate, eps;
    template <class Rule>
    constexpr Step(const Rule& rule, UpdateMoment now)
        : averages(rule, now), rate(static_cast<Real>(now.rate)), eps(static_cast<Real>(rule.eps)) {}
    constexpr Real operator()(Real gradient, std::array<Real, 2>& state) const {
      const Real mean = averages.move(gradient, gradient * gradient, state);
      return rate * mean / (std::sqrt(averages.second(state)) + eps);
    }
  };
};

// Notebook 12's Adam: w ← w − rate·m̂ / √(v̂ + eps)
struct AdamInside {
  static constexpr std::string_view name = "adam-inside";
  static constexpr std::string_view summary = "Adam with eps inside the root (the course's)";
  static constexpr std::size_t slots = 2;
  double learning_rate = 6e-3;
  double weight_decay = 0;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double eps = 1e-5;
  static constexpr auto& options = detail::adam_options<AdamInside>;

  template <class Real>
  struct Step {
    detail::AdamAverages<Real> averages;
    Real rate, eps;
    constexpr Step(const AdamInside& rule, UpdateMoment now)
        : averages(rule, now), rate(static_cast<Real>(now.rate)), eps(static_cast<Real>(rule.eps)) {}
    constexpr Real operator()(Real gradient, std::array<Real, 2>& state) const {
      const Real mean = averages.move(gradient, gradient * gradient, state);
      return rate * mean / std::sqrt(averages.second(state) + eps);
    }
  };
};

// The experiment's variant: averages |g| instead of g², no root: w ← w − rate·m̂ / (v̂ + eps)
struct Adam2 {
  static constexpr std::string_view name = "adam2";
  static constexpr std::string_view summary =
      "averaged gradient over its averaged absolute value (the experiment's variant)";
  static constexpr std::size_t slots = 2;
  double learning_rate = 6e-3;
  double weight_decay = 0;
  double beta1 = 0.9;
  double beta2 = 0.9;
  double eps = 1e-8;
  static constexpr auto& options = detail::adam_options<Adam2>;

  template <class Real>
  struct Step {
    detail::AdamAverages<Real> averages;
    Real rate, eps;
    constexpr Step(const Adam2& rule, UpdateMoment now)
        : averages(rule, now), rate(static_cast<Real>(now.rate)), eps(static_cast<Real>(rule.eps)) {}
    constexpr Real operator()(Real gradient, std::array<Real, 2>& state) const {
      const Real mean = averages.move(gradient, std::abs(gradient), state);
      return rate * mean / (averages.second(state) + eps);
    }
  };
};

// torch.optim.AdamW's defaults; the rule is Adam's, decay is decoupled (Loshchilov & Hutter, 2017).
struct AdamW {
  static constexpr std::string_view name = "adamw";
  static constexpr std::string_view summary = "Adam with decoupled weight decay (torch.optim.AdamW)";
  static constexpr std::size_t slots = 2;
  double learning_rate = 2e-2;
  double weight_decay = 0.01;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  static constexpr auto& options = detail::adam_options<AdamW>;

  template <class Real>
  using Step = Adam::Step<Real>;
};

// A rule with its settings. Adding a name here adds it to every device, --help, `descent list`,
// config files and tests.
using Optimizer = std::variant<Sgd, Momentum, HeavyBall, Nesterov, RmsProp, Adam, AdamInside, Adam2, AdamW>;

// The rule of that name with its defaults. Throws Error with the nearest name.
[[nodiscard]] Optimizer make_optimizer(std::string_view name);
[[nodiscard]] std::vector<std::string_view> optimizer_names();

[[nodiscard]] std::string_view name(const Optimizer& optimizer);
[[nodiscard]] std::string_view summary(const Optimizer& optimizer);
[[nodiscard]] std::size_t slots(const Optimizer& optimizer);  // state values a parameter

// "learning_rate" and "weight_decay" come first, every rule has them.
using OptimizerOption = OptionValue;
[[nodiscard]] std::vector<OptimizerOption> options(const Optimizer& optimizer);

// Throws Error if the rule has no such option, or the value is outside its limits.
void set_option(Optimizer& optimizer, std::string_view option, double value);

// The share of old gradients that the rule keeps: its option "momentum" or "beta1"; none if it has neither.
[[nodiscard]] std::optional<double> momentum(const Optimizer& optimizer);
// Sets that option; does nothing where there is none. Throws Error if the value is outside its limits.
void set_momentum(Optimizer& optimizer, double value);

enum class Decay : std::uint8_t {
  decoupled,  // w ← w·(1 − rate·wd) before the update
  l2,         // g ← g + wd·w
};

// Parameters whose names match a pattern and what differs for them. The first match wins.
struct ParameterGroup {
  std::string pattern;             // glob over parameter names: "*.bias", "layer1.*"
  double rate_factor = 1;          // times the learning rate; 0 freezes
  double weight_decay_factor = 1;  // times the weight decay
};

// A stretch of the flat buffer with one rate and one decay.
struct UpdateRange {
  std::size_t begin = 0;  // in elements
  std::size_t end = 0;
  double rate_factor = 1;
  double weight_decay_factor = 1;
};

struct ParameterLayout;
// Neighbours of one group become one range; without groups the whole buffer is one.
// Throws Error if a pattern matches nothing.
[[nodiscard]] std::vector<UpdateRange> update_ranges(const ParameterLayout& layout,
                                                     std::span<const ParameterGroup> groups);

}  // namespace descent
