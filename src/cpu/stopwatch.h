// How long a kernel takes on a machine whose cores others use too.
#pragma once

#include <functional>
#include <limits>
#include <utility>

namespace descent {

// What a stopwatch sees of the world: tests give it another one.
struct Surroundings {
  std::function<double()> now;        // seconds
  std::function<bool()> undisturbed;  // whether since the last call, and now, nobody else uses these cores
};

[[nodiscard]] Surroundings this_machine(int threads);

class Stopwatch {
 public:
  explicit Stopwatch(Surroundings surroundings) : around_(std::move(surroundings)) {}

  // Seconds of the shortest of some runs; the first warms up, and counts too. Whatever else the machine does
  // only adds to a time: six more runs at least, until the shortest three that nobody disturbed agree, or a
  // tenth of a second is spent on such. Waiting for others to be done, and runs in their company, may take
  // forty times the first run, a tenth of a second at most, and what earlier calls have left of theirs, a
  // second in all, which there is at first; after that three runs are enough. What takes half as long again as
  // its `rival` (in seconds), in company three times as long, is not looked at more closely: it will hardly be
  // chosen, and if it is, for what surrounds it, a time from two runs does.
  [[nodiscard]] double shortest(const std::function<void()>& run,
                                double rival = std::numeric_limits<double>::infinity());

 private:
  [[nodiscard]] double time(const std::function<void()>& run) const;
  bool wait();

  Surroundings around_;
  static constexpr double full_patience = 1;  // seconds
  double patience_ = full_patience;
};

}  // namespace descent
