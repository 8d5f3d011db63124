#include "cpu/stopwatch.h"

#include "base/seconds.h"
#include "cpu/pace.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

namespace descent {

Surroundings this_machine(int threads) {
  const auto pace = std::make_shared<Pace>(pace_of_this_machine(threads));
  return {seconds_now, [pace] { return pace->undisturbed(); }};
}

double Stopwatch::time(const std::function<void()>& run) const {
  const double begin = around_.now();
  run();
  return around_.now() - begin;
}

// Until nobody disturbs, or patience ends.
bool Stopwatch::wait() {
  const double begin = around_.now();
  bool undisturbed = false;
  while (!undisturbed && around_.now() - begin < patience_) undisturbed = around_.undisturbed();
  patience_ -= around_.now() - begin;
  return undisturbed;
}

double Stopwatch::shortest(const std::function<void()>& run, double rival) {
  constexpr double budget = 0.1;  // seconds
  // For waiting and for disturbed runs, in runs and in seconds: what takes little time decides little.
  constexpr double patience_in_runs = 40;
  constexpr double most_patience = 0.1;
  constexpr double alike = 1.05;
  constexpr std::size_t agreeing = 3;
  constexpr double beaten = 1.5;           // times as long as the rival
  constexpr double beaten_in_company = 3;  // who is slowed down to half
  double shortest = time(run);
  patience_ =
      std::min(std::max(patience_, 0.0) + std::min(patience_in_runs * shortest, most_patience), full_patience);
  std::array<double, agreeing> undisturbed{};  // the shortest, in order
  undisturbed.fill(std::numeric_limits<double>::infinity());
  double spent = 0;
  const auto is_beaten = [&](std::size_t runs) {
    if (std::isfinite(undisturbed.front())) return undisturbed.front() > beaten * rival;
    return runs + 1 >= agreeing && shortest > beaten_in_company * rival;  // the first was one, too
  };
  const auto goes_on = [&](std::size_t runs) {
    if (spent > budget || is_beaten(runs)) return false;
    if (patience_ <= 0) return runs < agreeing;
    const bool agreed = std::isfinite(undisturbed.back()) && undisturbed.back() <= alike * undisturbed.front();
    return runs < 2 * agreeing || !agreed;
  };
  bool quiet = around_.undisturbed();
  for (std::size_t runs = 0; goes_on(runs); ++runs) {
    if (!quiet) quiet = wait();
    const double begin = around_.now();
    const double seconds = time(run);
    shortest = std::min(shortest, seconds);
    const bool was_quiet = std::exchange(quiet, around_.undisturbed());
    const double with_the_look = around_.now() - begin;  // which takes longer than a short run
    if (!was_quiet || !quiet) {
      patience_ -= with_the_look;
      continue;
    }
    spent += with_the_look;
    undisturbed.back() = std::min(undisturbed.back(), seconds);
    std::sort(undisturbed.begin(), undisturbed.end());
  }
  return shortest;
}

}  // namespace descent
