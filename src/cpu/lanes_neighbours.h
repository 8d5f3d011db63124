// What neighbouring kernels with pictures innermost do for each other. A kernel that ends in a trained
// normalisation leaves its output to the one that alone reads it: that one makes it, a few blocks of pictures
// at a time, where it reads it, and takes the sums over the gradient that it writes, while both are in cache.
// So two passes over memory forward and one backward are spared, and the output itself.
#pragma once

#include "cpu/lanes_conv.h"
#include "plan/kernel.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace descent {

// What a reader does for a writer whose output it makes again.
struct LanesWork {
  double forward_flops = 0;
  double backward_flops = 0;
  double bytes = 0;  // read each time in place of the output
};

template <class Element>
class LanesNormWriter {
 public:
  virtual ~LanesNormWriter() = default;
  // False: there is no normalisation. True: from now on its forward does not write its output
  // (Kernel::complete() does), and its backward finds the sums taken that it begins with.
  virtual bool hand_over() = 0;
  // After that: the work that the reader does from now on where to compute the output costs less than to keep
  // anything of its size; where it does not, nothing.
  virtual std::optional<LanesWork> make_again() { return std::nullopt; }
  // Blocks of the output; from one to the next it is `picture` elements in `to`.
  virtual void make_output(std::int64_t first, std::int64_t blocks, Element* to,
                           std::int64_t picture) const = 0;
  // These blocks of the output's gradient have just been written. After make_again(), `output` is as
  // make_output() left it, and is used up.
  virtual void take_sums(std::int64_t first, std::int64_t blocks, const LanesPlaces<Element>& output,
                         const LanesPictures<Element>& gradient) const = 0;
};

class LanesReader {
 public:
  virtual ~LanesReader() = default;
  // Takes over what it can, if `writer` knows numbers of its type. `writer`: of its input 0, which nobody else
  // reads.
  virtual void meet(Kernel& writer) = 0;
};

}  // namespace descent
