// How fast the machine computes at the moment.
#pragma once

#include <limits>

namespace descent {

// On a rented machine others use the same cores for seconds at a time, and the system does not say so. Fixed
// arithmetic, timed again and again, does: what it takes now over the least it ever took.
class Pace {
 public:
  explicit Pace(int threads) : threads_(threads) {}

  // 1 at the machine's best, 1.4 where the same work takes 1.4 times as long. Takes some 50 µs, the first time
  // 10 ms.
  double slowness();

 private:
  [[nodiscard]] double seconds() const;

  int threads_;
  double least_ = std::numeric_limits<double>::infinity();
};

}  // namespace descent
