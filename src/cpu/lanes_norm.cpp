// Passes over slices that mostly lie in the second cache, where a convolution left them or will read them.
// Bound: there by arithmetic, for the statistics six operations a vector in double; from memory by the bytes.
#include "cpu/lanes_norm.h"

#include "cpu/lane_step.h"
#include "cpu/registers.h"
#include "cpu/simd.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <iterator>

namespace descent {

namespace {

// Half as many numbers as a register of f32 holds.
template <class Register>
using Doubles = typename Others<Register>::Doubles;

// The lower and the upper half of the lanes.
template <class Register>
struct Wide {
  Doubles<Register> low, high;
};

// Through arrays: GCC 12 makes two conversions of this, but of the vectors' own elements a gather of sixteen.
// Right behind a read they are those of memory; elsewhere the way through memory costs a dozen cycles.
template <class Register>
[[gnu::always_inline]] inline Wide<Register> widened(const Register& v) {
  constexpr auto width = static_cast<std::size_t>(register_width<Register>);
  const auto narrow = std::bit_cast<std::array<float, width>>(v);
  alignas(Register) std::array<double, width> wide;
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = narrow[i];
  return std::bit_cast<Wide<Register>>(wide);
}

template <class Numbers>
[[gnu::always_inline]] inline double total(const Numbers& v) {
  if constexpr (sizeof(Numbers) == sizeof(Vector)) {
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
  } else {
    return (v[0] + v[2]) + (v[1] + v[3]);
  }
}

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

template <class Register, class Element>
DESCENT_CLONES void gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                             ChannelForward by, ChannelBackward back) {
  using Step = LaneStep<Element, Register>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    Step step = Step::load(x + i);
    const Step slope = Step::load(dy + i);
    for (std::size_t half = 0; half < std::size(step.of); ++half) {
      step.of[half] = input_gradient(step.of[half], slope.of[half], by, back);
    }
    step.store(dx + i);
  }
}

template <class Register, class Element>
DESCENT_CLONES void active_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                                    ChannelForward by, ChannelBackward back, ReluRule rule) {
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

template <class Register, class Element>
DESCENT_CLONES void activate(const Element* x, Element* y, std::int64_t count, ReluRule rule) {
  using Step = LaneStep<Element, Register>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    Step step = Step::load(x + i);
    for (Register& value : step.of) value = rule.value(value);
    step.store(y + i);
  }
}

template <class Register, class Element>
DESCENT_CLONES void activation_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                                        ReluRule rule) {
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

}  // namespace

template <class Element>
ChannelSums lanes_sums(const Element* a, const Element* b, std::int64_t count) {
  return with_registers([&]<class Register>(Register) { return sums<Register>(a, b, count); });
}

template <class Element>
void normalise_lanes(const Element* x, Element* y, std::int64_t count, const ChannelForward& by,
                     const ReluRule* rule) {
  with_registers([&]<class Register>(Register) {
    if (rule == nullptr) return normalise<Register>(x, y, count, by, NoActivation{});
    normalise<Register>(x, y, count, by, *rule);
  });
}

template <class Element>
ChannelSums lanes_gradient_sums(const Element* x, const Element* dy, std::int64_t count,
                                const ChannelForward& by, const ReluRule* rule) {
  return with_registers([&]<class Register>(Register) {
    return rule == nullptr ? gradient_sums<Register>(x, dy, count, by, NoActivation{})
                           : gradient_sums<Register>(x, dy, count, by, *rule);
  });
}

template <class Element>
void lanes_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                    const ChannelForward& by, const ChannelBackward& back, const ReluRule* rule) {
  with_registers([&]<class Register>(Register) {
    if (rule == nullptr) return gradient<Register>(x, dy, dx, count, by, back);
    active_gradient<Register>(x, dy, dx, count, by, back, *rule);
  });
}

template <class Element>
void activate_lanes(const Element* x, Element* y, std::int64_t count, const ReluRule& rule) {
  with_registers([&]<class Register>(Register) { activate<Register>(x, y, count, rule); });
}

template <class Element>
void lanes_activation_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                               const ReluRule& rule) {
  with_registers([&]<class Register>(Register) { activation_gradient<Register>(x, dy, dx, count, rule); });
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
