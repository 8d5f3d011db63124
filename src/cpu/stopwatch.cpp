#include "cpu/stopwatch.h"

#include "cpu/pace.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

namespace descent {

Surroundings this_machine(int threads) {
  const auto now = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  return {now, [pace = std::make_shared<Pace>(threads)] { return pace->undisturbed(); }};
}

double Stopwatch::time(const std::function<void()>& run) const {
  const double begin = around_.now();
  run();
  return around_.now() - begin;
}

// Until nobody disturbs, or patience ends.
bool Stopwatch::wait(double& patience) const {
  const double begin = around_.now();
  bool undisturbed = false;
  while (!undisturbed && around_.now() - begin < patience) undisturbed = around_.undisturbed();
  patience -= around_.now() - begin;
  return undisturbed;
}

double Stopwatch::shortest(const std::function<void()>& run) const {
  constexpr double budget = 0.1;         // seconds
  constexpr double most_patience = 0.5;  // for waiting and for disturbed runs
  constexpr double worth_waiting = 20;   // runs: what takes little time decides little
  constexpr double alike = 1.05;
  constexpr std::size_t agreeing = 3;
  double shortest = time(run);
  double patience = std::min(worth_waiting * shortest, most_patience);
  std::array<double, agreeing> undisturbed{};  // the shortest, in order
  undisturbed.fill(std::numeric_limits<double>::infinity());
  double spent = 0;
  const auto goes_on = [&](std::size_t runs) {
    if (spent > budget) return false;
    if (patience <= 0) return runs < agreeing;
    const bool agreed = std::isfinite(undisturbed.back()) && undisturbed.back() <= alike * undisturbed.front();
    return runs < 2 * agreeing || !agreed;
  };
  bool quiet = around_.undisturbed();
  for (std::size_t runs = 0; goes_on(runs); ++runs) {
    if (!quiet) quiet = wait(patience);
    const double seconds = time(run);
    shortest = std::min(shortest, seconds);
    const bool was_quiet = std::exchange(quiet, around_.undisturbed());
    if (!was_quiet || !quiet) {
      patience -= seconds;
      continue;
    }
    spent += seconds;
    undisturbed.back() = std::min(undisturbed.back(), seconds);
    std::sort(undisturbed.begin(), undisturbed.end());
  }
  return shortest;
}

}  // namespace descent
