// Whether others compute on the same cores at the moment.
#pragma once

#include <array>
#include <limits>

namespace descent {

// On a rented machine neighbours use the other half of a core for milliseconds to seconds at a time, and the
// system does not say so; the cores then compute at half their rate. Fixed arithmetic, timed again and again,
// shows it.
class Pace {
 public:
  explicit Pace(int threads) : threads_(threads) {}

  // Whether since the last call no other process of this system was given one of our cores, and all threads now
  // compute about as fast as ever in the last seconds. Takes some 50 µs; the first call a quarter of a second.
  bool undisturbed();

 private:
  [[nodiscard]] double seconds() const;
  void remember(double seconds);

  int threads_;
  long preemptions_ = 0;
  // The shortest of the current stretch of time and of the one before: a processor that has become warm and
  // slow is measured by what it does now.
  double shortest_ = std::numeric_limits<double>::infinity();
  double shortest_before_ = std::numeric_limits<double>::infinity();
  double stretch_began_ = 0;
};

}  // namespace descent
