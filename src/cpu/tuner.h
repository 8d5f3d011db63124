// Times implementations, through the plan cache; or, where nothing may be timed, prefers by rule.
#pragma once

#include "cpu/choices.h"
#include "cpu/context.h"
#include "cpu/conv_part.h"
#include "cpu/onednn.h"
#include "cpu/stopwatch.h"
#include "plan/kernel.h"
#include "plan/measurements.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace descent {

class Tuner {
 public:
  // Without measurements every candidate costs what its place in the list of candidates says.
  Tuner(const CpuContext& context, const Onednn& onednn, Measurements* measurements, const CpuChoices& choices)
      : context_(context),
        onednn_(onednn),
        measurements_(measurements),
        choices_(choices),
        stopwatch_(this_machine(context.threads)) {}

  // Seconds of copying a tensor from its format to the other; 0 if the bytes are the same.
  double reorder_seconds(const TensorDesc& from, Format to);

  // The fastest way to compute a direction between two outer layouts, private reorders counted.
  // Nothing if there is only reference code for it.
  struct BestConv {
    ConvChoice choice;
    double seconds = 0;
  };
  std::optional<BestConv> best_conv(const ConvProblem& problem, Direction direction, Layout source,
                                    Layout destination);

  // The fastest way for each pair of layouts, without private reorders.
  std::vector<BestConv> inference_convs(const ConvProblem& problem);

  // Seconds of one forward and, when training, one backward of a kernel made by `make`, on memory of its own.
  double kernel_seconds(const std::string& key, const KernelRequest& request,
                        const std::function<std::unique_ptr<Kernel>()>& make);

  // Whether the library has a kernel called `key`: `make` gives one.
  bool offers(const std::string& key, const std::function<bool()>& make);

  [[nodiscard]] bool measures() const { return measurements_ != nullptr; }
  void finish() {
    if (measurements_ != nullptr) measurements_->save();
  }

 private:
  struct Timed {
    ConvChoice choice;
    double seconds = 0;
  };
  // By name: the library's, and our own.
  std::vector<std::string> implementations(const std::string& key, const ConvProblem& problem,
                                           Direction direction, const ConvChoice& choice);
  const std::vector<Timed>& conv_times(const ConvProblem& problem, Direction direction);

  CpuContext context_;
  Onednn onednn_;
  Measurements* measurements_;
  CpuChoices choices_;
  Stopwatch stopwatch_;
  std::map<std::string, std::vector<Timed>> conv_times_;  // of this prepare(), by problem and direction
};

}  // namespace descent
