// Bound: arithmetic, two multiply-adds of 8 lanes a cycle from registers: it shares the execution units, not
// only the caches, with whoever else computes on the core.
#include "cpu/pace.h"

#include "cpu/multiply_adds.h"
#include "cpu/parallel.h"
#include "cpu/registers.h"
#include "cpu/simd.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <utility>

namespace descent {

namespace {

constexpr double alike = 1.15;       // of the shortest time: a neighbour makes it 1.6 or more
constexpr double stretch = 15;       // seconds
constexpr double first_look = 0.25;  // seconds

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// How often a thread of this process has had to make room for another process.
long preemptions() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

DESCENT_CLONES void compute(const volatile float* factors) {
  constexpr std::int64_t rounds = 3000;
  Sink sink;
  multiply_add<Half>(factors, rounds, sink);
  static_cast<void>(*static_cast<const volatile float*>(sink.values.data()));
}

}  // namespace

// Of some tries: the first one may have to wake the threads.
double Pace::seconds() const {
  constexpr int tries = 3;
  const std::array<volatile float, 2> factors{1, 0};
  double shortest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < tries; ++i) {
    const double begin = now();
    parallel_for(threads_, threads_, 1, [&](std::int64_t, std::int64_t) { compute(factors.data()); });
    shortest = std::min(shortest, now() - begin);
  }
  return shortest;
}

void Pace::remember(double seconds) {
  if (now() - stretch_began_ > stretch) {
    shortest_before_ = std::exchange(shortest_, std::numeric_limits<double>::infinity());
    stretch_began_ = now();
  }
  shortest_ = std::min(shortest_, seconds);
}

bool Pace::undisturbed() {
  if (stretch_began_ == 0) {
    const double end = now() + first_look;
    while (now() < end) remember(seconds());
  }
  const double time = seconds();
  remember(time);
  const bool made_room = std::exchange(preemptions_, preemptions()) != preemptions_;
  return !made_room && time <= alike * std::min(shortest_, shortest_before_);
}

}  // namespace descent
