// What neighbouring kernels do for each other, so that a pass over memory is spared. A kernel that ends in a
// trained normalisation meets the one that alone reads its output: that one may normalise what it loads, and
// sum up the gradient that it writes. And whoever wrote a value that several read may add up their gradients
// where it reads them.
#pragma once

#include <cstddef>
#include <span>

namespace descent {

struct NormHandover;  // norm_passes.h

class NormWriter {
 public:
  virtual ~NormWriter() = default;
  // False: there is no normalisation. True: from now on its forward does not write its output: the reader
  // normalises what it loads, and writes it where others need it (Kernel::complete() does for who looks) …
  virtual bool leave_output() = 0;
  // … or its backward finds the sums taken that it begins with.
  virtual bool await_sums() = 0;
  [[nodiscard]] virtual std::size_t partial_bytes() const = 0;  // of scratch, that whoever takes the sums needs
  // What the reader needs for either; once it is bound.
  [[nodiscard]] virtual NormHandover handover() const = 0;
};

class NormReader {
 public:
  virtual ~NormReader() = default;
  // Takes over what it can. `writer`: of its input `number`, which nobody else reads.
  virtual void meet(NormWriter& writer, std::size_t number) = 0;
};

class BranchReader;

// Behind the writer of a value that several read: backward comes before it, and sums up their gradients …
class BranchedGradient {
 public:
  virtual ~BranchedGradient() = default;
  // … unless the writer does.
  virtual void leave_to(BranchReader& writer) = 0;
  [[nodiscard]] virtual std::size_t count() const = 0;
  [[nodiscard]] virtual std::span<void* const> branches() const = 0;  // once it is bound
};

class BranchReader {
 public:
  virtual ~BranchReader() = default;
  // False: it wants the sum.
  virtual bool take(const BranchedGradient& gradient) = 0;
};

}  // namespace descent
