// Sums that one kernel takes for another. A normalisation's backward begins with sums over its output's
// gradient; whoever writes that gradient, and alone does, can take them on the way, which saves a pass.
#pragma once

namespace descent {

struct AwaitedSums;  // norm_passes.h

// A kernel that can do without its own pass.
class AwaitsSums {
 public:
  virtual ~AwaitsSums() = default;
  // From now on its backward finds the sums taken. False: it has nothing to sum.
  virtual bool await_sums() = 0;
  // Where they go; once it is bound.
  [[nodiscard]] virtual AwaitedSums awaited() const = 0;
};

// A kernel that can take sums over the gradient of its input 0.
class GivesSums {
 public:
  virtual ~GivesSums() = default;
  // Does nothing where it cannot.
  virtual void give_sums_to(AwaitsSums& other) = 0;
};

}  // namespace descent
