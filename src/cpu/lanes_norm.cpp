// Passes over slices that mostly lie in the second cache, where a convolution left them or will read them.
// Bound: there by arithmetic, for the statistics six operations a vector in double; from memory by the bytes.
// Measured with two threads of a Zen 4 (perf record of bench): all passes together are a fifth of a step of
// convnet in f32.
#include "cpu/lanes_norm.h"

#include "cpu/lane_step.h"
#include "cpu/registers.h"
#include "cpu/simd.h"
#include "cpu/wide.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace descent {

namespace {

template <class Element, class Register>
struct Accumulator;

// Sums of a and a·b in four chains, so that additions need not wait for each other. The product of two f32
// is exact in double.
template <class Register>
struct Accumulator<float, Register> {
  Doubles<Register> first_low{}, first_high{}, second_low{}, second_high{};

  [[gnu::always_inline]] void add(std::size_t /*half*/, const Register& a, const Register& b) {
    const Wide<Register> from_a = widened(a);
    const Wide<Register> from_b = widened(b);
    first_low += from_a.low;
    first_high += from_a.high;
    second_low += from_a.low * from_b.low;
    second_high += from_a.high * from_b.high;
  }
  [[gnu::always_inline]] void settle() {}
  [[nodiscard, gnu::always_inline]] ChannelSums sums() const {
    return {total(first_low + first_high), total(second_low + second_high)};
  }
};

// What came from bf16 is summed in f32 for a while, where products of two are exact, and then in double.
template <class Register>
struct Accumulator<Bf16, Register> {
  Register first[2]{}, second[2]{};
  Doubles<Register> first_total{}, second_total{};

  [[gnu::always_inline]] void add(std::size_t half, const Register& a, const Register& b) {
    first[half] += a;
    second[half] += a * b;
  }
  [[gnu::always_inline]] void settle() {
    const auto move = [](Register(&from)[2], Doubles<Register>& to) {
      const Wide<Register> even = widened(from[0]);
      const Wide<Register> odd = widened(from[1]);
      to += (even.low + even.high) + (odd.low + odd.high);
      from[0] = from[1] = Register{};
    };
    move(first, first_total);
    move(second, second_total);
  }
  [[nodiscard, gnu::always_inline]] ChannelSums sums() const {
    return {total(first_total), total(second_total)};
  }
};

constexpr std::int64_t steps_to_settle = 64;

// Σg and Σg·(x − centre): nothing large is taken away from the second later on, so that a few products may be
// summed in f32 before they go to double.
template <class Register>
struct CentredSums {
  static constexpr std::int64_t steps = 16;
  Register first{}, second{};
  Doubles<Register> first_total{}, second_total{};

  [[gnu::always_inline]] void add(const Register& gradient, const Register& centred) {
    first += gradient;
    second += gradient * centred;
  }
  [[gnu::always_inline]] void settle() {
    const Wide<Register> of_first = widened(first);
    const Wide<Register> of_second = widened(second);
    first_total += of_first.low + of_first.high;
    second_total += of_second.low + of_second.high;
    first = second = Register{};
  }
  // Σg and Σg·x.
  [[nodiscard, gnu::always_inline]] ChannelSums sums(float centre) const {
    const double sum = total(first_total);
    return {sum, total(second_total) + static_cast<double>(centre) * sum};
  }
};

// Slices follow each other in memory, and the processor's own prefetching begins anew at every page: where the
// third cache is far away, half of the time of these passes was spent waiting there.
template <class Element>
[[gnu::always_inline]] inline void fetch_ahead(const Element* at) {
  constexpr std::ptrdiff_t ahead = 2048;  // bytes
  __builtin_prefetch(reinterpret_cast<const std::byte*>(at) + ahead);
}

template <class Register>
[[gnu::always_inline]] inline Register normalised(const Register& x, const ChannelForward& by) {
  return (x - by.centre) * by.slope + by.shift;
}

template <class Register, class Element>
DESCENT_CLONES ChannelSums sums(const Element* a, const Element* b, std::int64_t count) {
  using Step = LaneStep<Element, Register>;
  constexpr std::int64_t stretch = steps_to_settle * Step::width;
  Accumulator<Element, Register> sum;
  for (std::int64_t begin = 0; begin < count; begin += stretch) {
    for (std::int64_t i = begin; i < std::min(begin + stretch, count); i += Step::width) {
      const Step from_a = Step::load(a + i);
      const Step from_b = Step::load(b + i);
      for (std::size_t half = 0; half < std::size(from_a.of); ++half)
        sum.add(half, from_a.of[half], from_b.of[half]);
    }
    sum.settle();
  }
  return sum.sums();
}

template <class Register, class Rule, class Element>
DESCENT_CLONES ChannelSums gradient_sums(const Element* x, const Element* dy, std::int64_t count,
                                         ChannelForward by, Rule rule) {
  using Step = LaneStep<Element, Register>;
  constexpr std::int64_t stretch = CentredSums<Register>::steps * Step::width;
  CentredSums<Register> sum;
  for (std::int64_t begin = 0; begin < count; begin += stretch) {
    for (std::int64_t i = begin; i < std::min(begin + stretch, count); i += Step::width) {
      fetch_ahead(x + i);
      fetch_ahead(dy + i);
      const Step from = Step::load(x + i);
      const Step slope = Step::load(dy + i);
      for (std::size_t half = 0; half < std::size(from.of); ++half) {
        const Register centred = from.of[half] - by.centre;
        sum.add(rule.gradient(centred * by.slope + by.shift, slope.of[half]), centred);
      }
    }
    sum.settle();
  }
  return sum.sums(by.centre);
}

template <class Register, class Rule, class Element>
DESCENT_CLONES void normalise(const Element* x, Element* y, std::int64_t count, ChannelForward by, Rule rule) {
  using Step = LaneStep<Element, Register>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    fetch_ahead(x + i);
    Step step = Step::load(x + i);
    for (Register& value : step.of) value = rule.value(normalised(value, by));
    step.store(y + i);
  }
}

template <class Register>
[[gnu::always_inline]] inline Register input_gradient(const Register& x, const Register& dy,
                                                      const ChannelForward& by, const ChannelBackward& back) {
  return (x - by.centre) * back.slope + (dy * back.gain + back.shift);
}

template <class Register, class Rule, class Element>
DESCENT_CLONES void gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                             ChannelForward by, ChannelBackward back, Rule rule) {
  using Step = LaneStep<Element, Register>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    fetch_ahead(x + i);
    fetch_ahead(dy + i);
    Step step = Step::load(x + i);
    const Step slope = Step::load(dy + i);
    for (std::size_t half = 0; half < std::size(step.of); ++half) {
      const Register value = step.of[half];
      step.of[half] = input_gradient(value, rule.gradient(normalised(value, by), slope.of[half]), by, back);
    }
    step.store(dx + i);
  }
}

template <class Register, class Rule, class Element>
DESCENT_CLONES void activate(const Element* x, Element* y, std::int64_t count, Rule rule) {
  using Step = LaneStep<Element, Register>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    Step step = Step::load(x + i);
    for (Register& value : step.of) value = rule.value(value);
    step.store(y + i);
  }
}

template <class Register, class Rule, class Element>
DESCENT_CLONES void activation_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                                        Rule rule) {
  using Step = LaneStep<Element, Register>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    Step step = Step::load(x + i);
    const Step slope = Step::load(dy + i);
    for (std::size_t half = 0; half < std::size(step.of); ++half) {
      step.of[half] = rule.gradient(step.of[half], slope.of[half]);
    }
    step.store(dx + i);
  }
}

template <class Register, class Rule>
DESCENT_CLONES void gradient_by_output(const float* y, const float* dy, float* dx, std::int64_t count,
                                       float shift, Rule rule) {
  using Step = LaneStep<float, Register>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    Step step = Step::load(y + i);
    step.of[0] = rule.gradient(step.of[0] - shift, Step::load(dy + i).of[0]);
    step.store(dx + i);
  }
}

}  // namespace

template <class Element>
ChannelSums lanes_sums(const Element* a, const Element* b, std::int64_t count) {
  return with_registers([&]<class Register>(Register) { return sums<Register>(a, b, count); });
}

namespace {

// f(a register, the activation).
template <class Function>
decltype(auto) with_registers_and(const ReluRule* rule, Function&& f) {
  return with_registers([&]<class Register>(Register) {
    return with_least_rule(rule, [&](const auto& least) { return f(Register{}, least); });
  });
}

}  // namespace

template <class Element>
void normalise_lanes(const Element* x, Element* y, std::int64_t count, const ChannelForward& by,
                     const ReluRule* rule) {
  with_registers_and(rule, [&]<class Register>(Register, const auto& activation) {
    normalise<Register>(x, y, count, by, activation);
  });
}

template <class Element>
ChannelSums lanes_gradient_sums(const Element* x, const Element* dy, std::int64_t count,
                                const ChannelForward& by, const ReluRule* rule) {
  return with_registers_and(rule, [&]<class Register>(Register, const auto& activation) {
    return gradient_sums<Register>(x, dy, count, by, activation);
  });
}

template <class Element>
void lanes_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                    const ChannelForward& by, const ChannelBackward& back, const ReluRule* rule) {
  with_registers_and(rule, [&]<class Register>(Register, const auto& activation) {
    gradient<Register>(x, dy, dx, count, by, back, activation);
  });
}

template <class Element>
void activate_lanes(const Element* x, Element* y, std::int64_t count, const ReluRule& rule) {
  with_registers_and(&rule, [&]<class Register>(Register, const auto& activation) {
    activate<Register>(x, y, count, activation);
  });
}

template <class Element>
void lanes_activation_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                               const ReluRule& rule) {
  with_registers_and(&rule, [&]<class Register>(Register, const auto& activation) {
    activation_gradient<Register>(x, dy, dx, count, activation);
  });
}

void lanes_gradient_by_output(const float* y, const float* dy, float* dx, std::int64_t count,
                              const ReluRule& rule) {
  with_registers_and(&rule, [&]<class Register>(Register, const auto& activation) {
    gradient_by_output<Register>(y, dy, dx, count, rule.shift, activation);
  });
}

template ChannelSums lanes_sums(const float*, const float*, std::int64_t);
template void normalise_lanes(const float*, float*, std::int64_t, const ChannelForward&, const ReluRule*);
template ChannelSums lanes_gradient_sums(const float*, const float*, std::int64_t, const ChannelForward&,
                                         const ReluRule*);
template void lanes_gradient(const float*, const float*, float*, std::int64_t, const ChannelForward&,
                             const ChannelBackward&, const ReluRule*);
template void activate_lanes(const float*, float*, std::int64_t, const ReluRule&);
template void lanes_activation_gradient(const float*, const float*, float*, std::int64_t, const ReluRule&);
template ChannelSums lanes_sums(const Bf16*, const Bf16*, std::int64_t);
template void normalise_lanes(const Bf16*, Bf16*, std::int64_t, const ChannelForward&, const ReluRule*);
template ChannelSums lanes_gradient_sums(const Bf16*, const Bf16*, std::int64_t, const ChannelForward&,
                                         const ReluRule*);
template void lanes_gradient(const Bf16*, const Bf16*, Bf16*, std::int64_t, const ChannelForward&,
                             const ChannelBackward&, const ReluRule*);
template void activate_lanes(const Bf16*, Bf16*, std::int64_t, const ReluRule&);
template void lanes_activation_gradient(const Bf16*, const Bf16*, Bf16*, std::int64_t, const ReluRule&);

}  // namespace descent
