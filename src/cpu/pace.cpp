// Bound: arithmetic, two multiply-adds of 8 lanes a cycle from registers: it shares the execution units, not
// only the caches, with whoever else computes on the core.
#include "cpu/pace.h"

#include "cpu/parallel.h"
#include "cpu/registers.h"
#include "cpu/simd.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace descent {

namespace {

constexpr std::size_t chains = 12;
constexpr int rounds = 3000;

DESCENT_CLONES void compute(const volatile float& factor, volatile float& sink) {
  const float by = factor;
  Half sums[chains];
  for (Half& sum : sums) sum = Half{} + factor;  // read again: equal chains would be computed once
  for (int round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (Half& sum : sums) sum = sum * by + by;
  }
  Half total{};
  for (const Half& sum : sums) total += sum;
  sink = total[0];
}

}  // namespace

double Pace::seconds() const {
  using Clock = std::chrono::steady_clock;
  constexpr int tries = 3;
  const volatile float factor = 0.5F;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < tries; ++i) {
    const auto begin = Clock::now();
    parallel_for(threads_, threads_, 1, [&](std::int64_t, std::int64_t) {
      volatile float sink = 0;
      compute(factor, sink);
    });
    least = std::min(least, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return least;
}

double Pace::slowness() {
  constexpr int first_times = 200;
  if (least_ == std::numeric_limits<double>::infinity()) {
    for (int i = 0; i < first_times; ++i) least_ = std::min(least_, seconds());
  }
  const double now = seconds();
  least_ = std::min(least_, now);
  return now / least_;
}

}  // namespace descent
