// Bound: arithmetic, two multiply-adds of 8 lanes a cycle from registers: it shares the execution units, not
// only the caches, with whoever else computes on the core.
#include "cpu/pace.h"

#include "cpu/multiply_adds.h"
#include "cpu/parallel.h"
#include "cpu/registers.h"
#include "cpu/simd.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace descent {

namespace {

DESCENT_CLONES void compute(const volatile float* factors) {
  constexpr std::int64_t rounds = 3000;
  Sink sink;
  multiply_add<Half>(factors, rounds, sink);
  static_cast<void>(*static_cast<const volatile float*>(sink.values.data()));
}

}  // namespace

double Pace::seconds() const {
  using Clock = std::chrono::steady_clock;
  constexpr int tries = 3;
  const std::array<volatile float, 2> factors{1, 0};
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < tries; ++i) {
    const auto begin = Clock::now();
    parallel_for(threads_, threads_, 1, [&](std::int64_t, std::int64_t) { compute(factors.data()); });
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
