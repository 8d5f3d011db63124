// Times implementations, through the plan cache; or, where nothing may be timed, prefers by rule.
#pragma once

#include "cpu/conv_part.h"
#include "cpu/measurements.h"
#include "cpu/onednn.h"
#include "plan/kernel.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace descent {

class Tuner {
 public:
  // Without measurements every candidate costs what its place in the list of candidates says.
  Tuner(const Onednn& onednn, Measurements* measurements) : onednn_(onednn), measurements_(measurements) {}

  // Seconds of copying a tensor from one layout to the other; 0 if they are the same order.
  double reorder_seconds(const Shape& batched, DType type, Layout from, Layout to);

  // The fastest way to compute a direction between two outer layouts, private reorders counted.
  // Nothing if the library has only reference code for it.
  struct BestConv {
    ConvChoice choice;
    double seconds = 0;
  };
  std::optional<BestConv> best_conv(const ConvProblem& problem, Direction direction, Layout source,
                                    Layout destination);

  // Seconds of one forward and, when training, one backward of a kernel made by `make`, on memory of its own.
  double kernel_seconds(const std::string& key, const KernelRequest& request,
                        const std::function<std::unique_ptr<Kernel>()>& make);

  void finish() {
    if (measurements_ != nullptr) measurements_->save();
  }

 private:
  struct Timed {
    ConvChoice choice;
    double seconds = 0;
  };
  const std::vector<Timed>& conv_times(const ConvProblem& problem, Direction direction);

  Onednn onednn_;
  Measurements* measurements_;
  std::map<std::string, std::vector<Timed>> conv_times_;  // of this prepare(), by problem and direction
};

}  // namespace descent
