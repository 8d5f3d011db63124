// Times implementations, through the plan cache; or, where nothing may be timed, prefers by rule.
#pragma once

#include "cpu/choices.h"
#include "cpu/context.h"
#include "cpu/conv_part.h"
#include "cpu/onednn.h"
#include "cpu/stopwatch.h"
#include "plan/kernel.h"
#include "plan/measured_names.h"
#include "plan/measurements.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace descent {

// What a device keeps from plan to plan.
struct Timing {
  Timing(Measurements::Settings settings, int threads)
      : measurements(std::move(settings)), stopwatch(this_machine(threads)) {}

  Measurements measurements;
  Stopwatch stopwatch;
};

class Tuner {
 public:
  // For one plan. Without `timing` every candidate costs what its place in the list of candidates says.
  Tuner(const CpuContext& context, const Onednn& onednn, Timing* timing, const CpuChoices& choices,
        const PlanRequest& plan)
      : context_(context), onednn_(onednn), timing_(timing), choices_(choices), timed_batch_(plan) {}

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
  // `kernel` tells those of one unit apart.
  double kernel_seconds(const KernelRequest& request, const std::string& kernel,
                        const std::function<std::unique_ptr<Kernel>()>& make);

  // Whether the library has a kernel called `key`: `make` gives one.
  bool offers(const std::string& key, const std::function<bool()>& make);

  [[nodiscard]] bool measures() const { return timing_ != nullptr; }
  void finish() {
    if (measures()) timing_->measurements.save();
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
  Timing* timing_;
  CpuChoices choices_;
  TimedBatch timed_batch_;
  std::map<std::string, std::vector<Timed>> conv_times_;  // by problem and direction
  std::map<std::string, double> best_of_units_;           // seconds of the fastest kernel so far
};

}  // namespace descent
