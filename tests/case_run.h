// Runs a row of the table of operation cases on a device and gathers what it computed.
#pragma once

#include "descent/device.h"
#include "op_cases.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace descent::test {

// Values that a row starts from; the same on every device, all of them exact in f32.
struct CaseValues {
  std::vector<float> input;
  std::vector<float> targets;          // with a loss
  std::vector<float> output_gradient;  // without
  HostParameters parameters;
};
// For plans in bf16 all are exact in bf16 too.
[[nodiscard]] CaseValues case_values(const OpCase& row, const ParameterLayout& layout,
                                     DType precision = DType::f32);

struct Outcome {
  std::vector<float> output;
  std::vector<float> loss_rows;
  std::vector<float> input_gradient;
  std::vector<float> gradients;  // of all parameters, flat
  std::vector<float> statistics;
  StepResult result;
  friend bool operator==(const Outcome& a, const Outcome& b) {
    return a.output == b.output && a.loss_rows == b.loss_rows && a.input_gradient == b.input_gradient &&
           a.gradients == b.gradients && a.statistics == b.statistics;
  }
};

class CaseRun {
 public:
  // Everything that the plan may not rely on is not-a-number: its workspace and the gradients.
  CaseRun(Device& device, const OpCase& row, bool input_gradient = true, DType precision = DType::f32);

  // One forward and, in training, one backward, from the row's parameters and statistics.
  [[nodiscard]] Outcome step();
  // The parts of step(), for tests that look in between.
  void restore_parameters();
  void load_values();
  void forward();
  void backward();

  [[nodiscard]] Plan& plan() { return *plan_; }
  [[nodiscard]] ParameterStore& store() { return store_; }
  [[nodiscard]] const CaseValues& values() const { return values_; }
  [[nodiscard]] const StepContext& context() const { return context_; }

 private:
  Device& device_;
  const OpCase& row_;
  bool input_gradient_;
  ParameterStore store_;
  std::unique_ptr<Plan> plan_;
  Buffer workspace_;
  CaseValues values_;
  StepContext context_;
};

// Fills device memory with not-a-number.
void poison(Device& device, void* to, DType type, std::size_t count);

// The scale of a parameter's gradient: its largest magnitude. Where the true gradient is zero (a bias
// before batch normalisation, that the mean takes away) it is that of the layer's largest gradient.
[[nodiscard]] double gradient_scale(std::span<const double> gradients, const ParameterLayout& layout,
                                    const ParameterEntry& entry);

}  // namespace descent::test
