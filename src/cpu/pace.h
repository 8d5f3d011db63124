// Whether others compute on the same cores at the moment.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <utility>

namespace descent {

// What a pace is taken from: tests give it another machine.
struct PaceSources {
  std::function<double()> now;        // seconds
  std::function<double()> work;       // seconds that the same arithmetic takes now, the slowest of our threads
  std::function<long()> preemptions;  // how often a thread has had to make room for another process
};

[[nodiscard]] PaceSources pace_of_this_machine(int threads);

// On a rented machine neighbours use the other half of a core for milliseconds to seconds at a time, and the
// system does not say so; the core then computes at half its rate. Fixed arithmetic, timed again and again,
// shows it.
class Pace {
 public:
  explicit Pace(PaceSources sources) : sources_(std::move(sources)) {}

  // Whether since the last call no other process of this system was given one of our cores, but for a moment
  // once in 20 ms, all threads together, and all threads now compute about as fast as at their best in the last
  // 15 to 30 seconds. Takes some 50 µs; the first call looks
  // for a quarter of a second what their best is.
  bool undisturbed();

 private:
  // One piece of work, remembered.
  double look();

  PaceSources sources_;
  long preemptions_ = 0;
  double looked_at_ = 0;
  // The shortest of the current stretch of time and of the one before: a processor that has become warm and
  // slow is measured by what it does now.
  double shortest_ = std::numeric_limits<double>::infinity();
  double shortest_before_ = std::numeric_limits<double>::infinity();
  std::optional<double> stretch_began_;
};

}  // namespace descent
