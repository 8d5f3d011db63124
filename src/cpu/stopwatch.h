// How long a kernel takes on a machine whose cores others use too.
#pragma once

#include <functional>
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

  // Seconds of the shortest of some runs after one to warm up. Whatever else the machine does only adds to a
  // time: runs go on until three that nobody disturbed agree, or a tenth of a second is spent on such. Waiting
  // for others to be done, and what was run in their company, may take half a second more, or as long as twenty
  // runs if that is less.
  [[nodiscard]] double shortest(const std::function<void()>& run) const;

 private:
  [[nodiscard]] double time(const std::function<void()>& run) const;
  bool wait(double& patience) const;

  Surroundings around_;
};

}  // namespace descent
