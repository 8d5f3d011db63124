// Bound: arithmetic, two multiply-adds of 8 lanes a cycle from registers: it shares the execution units, not
// only the caches, with whoever else computes on the core.
#include "cpu/pace.h"

#include "base/seconds.h"
#include "cpu/multiply_adds.h"
#include "cpu/parallel.h"
#include "cpu/registers.h"
#include "cpu/simd.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace descent {

namespace {

constexpr double alike = 1.15;         // of the shortest time: a neighbour makes it 1.6 or more
constexpr double moment_every = 0.02;  // seconds: the system has to do something itself now and then
constexpr double stretch = 15;         // seconds
constexpr double first_look = 0.25;    // seconds

long preemptions() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

DESCENT_CLONES void compute(const volatile float* factors) {
  constexpr std::int64_t rounds = 3000;
  Sink sink;
  multiply_add<Half>(factors, rounds, sink);
  static_cast<void>(*static_cast<const volatile float*>(sink.values.data()));  // somebody needs the result
}

// The shortest of some tries: the first one may have to wake the threads.
double work(int threads) {
  constexpr int tries = 3;
  const std::array<volatile float, 2> factors{1, 0};
  double shortest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < tries; ++i) {
    const double begin = seconds_now();
    parallel_for(threads, threads, 1, [&](std::int64_t, std::int64_t) { compute(factors.data()); });
    shortest = std::min(shortest, seconds_now() - begin);
  }
  return shortest;
}

}  // namespace

PaceSources pace_of_this_machine(int threads) {
  return {seconds_now, [threads] { return work(threads); }, preemptions};
}

double Pace::look() {
  const double begin = sources_.now();
  if (!stretch_began_ || begin - *stretch_began_ > stretch) {
    shortest_before_ = shortest_;
    shortest_ = std::numeric_limits<double>::infinity();
    stretch_began_ = begin;
  }
  const double seconds = sources_.work();
  shortest_ = std::min(shortest_, seconds);
  return seconds;
}

bool Pace::undisturbed() {
  if (!stretch_began_) {
    const double end = sources_.now() + first_look;
    while (sources_.now() < end) look();
    preemptions_ = sources_.preemptions();
    looked_at_ = sources_.now();
  }
  const double seconds = look();
  const long preemptions_now = sources_.preemptions();
  const double now = sources_.now();
  const bool made_room =
      static_cast<double>(preemptions_now - preemptions_) > (now - looked_at_) / moment_every;
  preemptions_ = preemptions_now;
  looked_at_ = now;
  return !made_room && seconds <= alike * std::min(shortest_, shortest_before_);
}

}  // namespace descent
