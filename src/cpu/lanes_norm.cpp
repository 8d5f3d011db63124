// Passes over slices that mostly lie in the second cache, where a convolution left them or will read them.
// Bound: there by arithmetic, six operations a vector for sums in double; from memory by the bytes.
#include "cpu/lanes_norm.h"

#include "cpu/lane_step.h"
#include "cpu/simd.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <iterator>

namespace descent {

namespace {

using DoubleVector = double __attribute__((vector_size(64)));

// The lower and the upper eight lanes.
struct Wide {
  DoubleVector low, high;
};

// Through arrays: GCC 12 makes two conversions of this, but of the vectors' own elements a gather of sixteen.
[[gnu::always_inline]] inline Wide widened(const Vector& v) {
  const auto narrow = std::bit_cast<std::array<float, lanes>>(v);
  alignas(64) std::array<double, lanes> wide;
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = narrow[i];
  return std::bit_cast<Wide>(wide);
}

[[gnu::always_inline]] inline double total(const DoubleVector& v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

template <class Element>
struct Accumulator;

// Sums of a and a·b in four chains, so that additions need not wait for each other. The product of two f32
// is exact in double.
template <>
struct Accumulator<float> {
  DoubleVector first_low{}, first_high{}, second_low{}, second_high{};

  [[gnu::always_inline]] void add(std::size_t /*half*/, const Vector& a, const Vector& b) {
    const Wide from_a = widened(a);
    const Wide from_b = widened(b);
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
template <>
struct Accumulator<Bf16> {
  Vector first[2]{}, second[2]{};
  DoubleVector first_total{}, second_total{};

  [[gnu::always_inline]] void add(std::size_t half, const Vector& a, const Vector& b) {
    first[half] += a;
    second[half] += a * b;
  }
  [[gnu::always_inline]] void settle() {
    const auto move = [](Vector(&from)[2], DoubleVector& to) {
      const Wide even = widened(from[0]);
      const Wide odd = widened(from[1]);
      to += (even.low + even.high) + (odd.low + odd.high);
      from[0] = from[1] = Vector{};
    };
    move(first, first_total);
    move(second, second_total);
  }
  [[nodiscard, gnu::always_inline]] ChannelSums sums() const {
    return {total(first_total), total(second_total)};
  }
};

constexpr std::int64_t steps_to_settle = 64;

// Slices follow each other in memory, and the processor's own prefetching begins anew at every page: where the
// third cache is far away, half of the time of these passes was spent waiting there.
template <class Element>
[[gnu::always_inline]] inline void fetch_ahead(const Element* at) {
  constexpr std::ptrdiff_t ahead = 2048;  // bytes
  __builtin_prefetch(reinterpret_cast<const std::byte*>(at) + ahead);
}

[[gnu::always_inline]] inline Vector normalised(const Vector& x, const ChannelForward& by) {
  return (x - by.centre) * by.slope + by.shift;
}

template <class Element>
DESCENT_CLONES ChannelSums sums(const Element* a, const Element* b, std::int64_t count) {
  using Step = LaneStep<Element>;
  constexpr std::int64_t stretch = steps_to_settle * Step::width;
  Accumulator<Element> sum;
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

template <class Element>
DESCENT_CLONES ChannelSums gradient_sums(const Element* x, const Element* dy, std::int64_t count,
                                         ChannelForward by, ReluRule rule) {
  using Step = LaneStep<Element>;
  constexpr std::int64_t stretch = steps_to_settle * Step::width;
  Accumulator<Element> sum;
  for (std::int64_t begin = 0; begin < count; begin += stretch) {
    for (std::int64_t i = begin; i < std::min(begin + stretch, count); i += Step::width) {
      fetch_ahead(x + i);
      fetch_ahead(dy + i);
      const Step from = Step::load(x + i);
      const Step slope = Step::load(dy + i);
      for (std::size_t half = 0; half < std::size(from.of); ++half) {
        const Vector& value = from.of[half];
        sum.add(half, rule.gradient(normalised(value, by), slope.of[half]), value);
      }
    }
    sum.settle();
  }
  return sum.sums();
}

template <class Element, class Rule>
DESCENT_CLONES void normalise(const Element* x, Element* y, std::int64_t count, ChannelForward by, Rule rule) {
  using Step = LaneStep<Element>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    fetch_ahead(x + i);
    Step step = Step::load(x + i);
    for (Vector& value : step.of) value = rule.value(normalised(value, by));
    step.store(y + i);
  }
}

[[gnu::always_inline]] inline Vector input_gradient(const Vector& x, const Vector& dy, const ChannelForward& by,
                                                    const ChannelBackward& back) {
  return (x - by.centre) * back.slope + (dy * back.gain + back.shift);
}

template <class Element>
DESCENT_CLONES void gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                             ChannelForward by, ChannelBackward back) {
  using Step = LaneStep<Element>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    Step step = Step::load(x + i);
    const Step slope = Step::load(dy + i);
    for (std::size_t half = 0; half < std::size(step.of); ++half) {
      step.of[half] = input_gradient(step.of[half], slope.of[half], by, back);
    }
    step.store(dx + i);
  }
}

template <class Element>
DESCENT_CLONES void active_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                                    ChannelForward by, ChannelBackward back, ReluRule rule) {
  using Step = LaneStep<Element>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    fetch_ahead(x + i);
    fetch_ahead(dy + i);
    Step step = Step::load(x + i);
    const Step slope = Step::load(dy + i);
    for (std::size_t half = 0; half < std::size(step.of); ++half) {
      const Vector value = step.of[half];
      step.of[half] = input_gradient(value, rule.gradient(normalised(value, by), slope.of[half]), by, back);
    }
    step.store(dx + i);
  }
}

template <class Element>
DESCENT_CLONES void activate(const Element* x, Element* y, std::int64_t count, ReluRule rule) {
  using Step = LaneStep<Element>;
  for (std::int64_t i = 0; i < count; i += Step::width) {
    Step step = Step::load(x + i);
    for (Vector& value : step.of) value = rule.value(value);
    step.store(y + i);
  }
}

template <class Element>
DESCENT_CLONES void activation_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                                        ReluRule rule) {
  using Step = LaneStep<Element>;
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
  return sums(a, b, count);
}

template <class Element>
void normalise_lanes(const Element* x, Element* y, std::int64_t count, const ChannelForward& by,
                     const ReluRule* rule) {
  if (rule == nullptr) return normalise(x, y, count, by, NoActivation{});
  normalise(x, y, count, by, *rule);
}

template <class Element>
ChannelSums lanes_gradient_sums(const Element* x, const Element* dy, std::int64_t count,
                                const ChannelForward& by, const ReluRule* rule) {
  return rule == nullptr ? sums(dy, x, count) : gradient_sums(x, dy, count, by, *rule);
}

template <class Element>
void lanes_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                    const ChannelForward& by, const ChannelBackward& back, const ReluRule* rule) {
  if (rule == nullptr) return gradient(x, dy, dx, count, by, back);
  active_gradient(x, dy, dx, count, by, back, *rule);
}

template <class Element>
void activate_lanes(const Element* x, Element* y, std::int64_t count, const ReluRule& rule) {
  activate(x, y, count, rule);
}

template <class Element>
void lanes_activation_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                               const ReluRule& rule) {
  activation_gradient(x, dy, dx, count, rule);
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
