// What neighbouring kernels with pictures innermost do for each other. A kernel that ends in a trained
// normalisation leaves its output to the one that alone reads it: that one makes it, a few blocks of pictures
// at a time, where it reads it, and takes the sums over the gradient that it writes, while both are in cache.
// So two passes over memory forward and one backward are spared, and the output itself.
#pragma once

#include "plan/kernel.h"

#include <cstdint>

namespace descent {

template <class Element>
class LanesNormWriter {
 public:
  virtual ~LanesNormWriter() = default;
  // False: there is no normalisation. True: from now on its forward does not write its output
  // (Kernel::complete() does), and its backward finds the sums taken that it begins with.
  virtual bool hand_over() = 0;
  // Blocks of the output; from one to the next it is `picture` elements in `to`.
  virtual void make_output(std::int64_t first, std::int64_t blocks, Element* to,
                           std::int64_t picture) const = 0;
  // These blocks of the output's gradient have just been written.
  virtual void take_sums(std::int64_t first, std::int64_t blocks) const = 0;
};

class LanesReader {
 public:
  virtual ~LanesReader() = default;
  // Takes over what it can, if `writer` knows numbers of its type. `writer`: of its input 0, which nobody else
  // reads.
  virtual void meet(Kernel& writer) = 0;
};

}  // namespace descent
