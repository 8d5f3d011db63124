// The reference's gradients against central finite differences in double precision, over the table of
// operation cases: what all devices are compared with is itself right.
#include "case_run.h"
#include "op_cases.h"
#include "reference/device.h"
#include "tolerances.h"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace descent::test {

namespace {

namespace data = boost::unit_test::data;

constexpr double step_size = 1.0 / 32768;

// The scalar whose gradient a backward computes: the mean loss, or the output weighted by the output
// gradient; of the values that the plan's input and the store hold now.
class Scalar {
 public:
  explicit Scalar(const OpCase& row) : row_(row), run_(device_, row) {
    const Outcome outcome = run_.step();
    const std::span<double> gradients = reference::doubles(run_.store().gradients());
    gradients_.assign(gradients.begin(), gradients.end());
    const std::span<double> of_input = reference::doubles(run_.plan().port(Plan::Port::input_gradient));
    input_gradient_.assign(of_input.begin(), of_input.end());
    input_.assign(run_.values().input.begin(), run_.values().input.end());
    run_.restore_parameters();
  }

  [[nodiscard]] double value() {
    run_.load_values();
    std::copy(input_.begin(), input_.end(), reference::doubles(run_.plan().port(Plan::Port::input)).begin());
    run_.forward();
    double sum = 0;
    if (row_.loss) {
      const std::span<double> rows = reference::doubles(run_.plan().port(Plan::Port::loss_rows));
      for (std::size_t i = 0; i < rows.size(); i += 2) sum += rows[i] / static_cast<double>(row_.batch);
    } else {
      const std::span<double> output = reference::doubles(run_.plan().port(Plan::Port::output));
      for (std::size_t i = 0; i < output.size(); ++i)
        sum += output[i] * static_cast<double>(run_.values().output_gradient[i]);
    }
    return sum;
  }

  // The variables, and the gradients that backward gave for them.
  [[nodiscard]] std::span<double> input() { return input_; }
  [[nodiscard]] std::span<double> parameters() { return reference::doubles(run_.store().values()); }
  [[nodiscard]] std::span<const double> input_gradient() const { return input_gradient_; }
  [[nodiscard]] std::span<const double> gradients() const { return gradients_; }
  [[nodiscard]] const ParameterLayout& layout() { return run_.store().layout(); }

 private:
  const OpCase& row_;
  reference::ReferenceDevice device_;
  CaseRun run_;
  std::vector<double> input_;
  std::vector<double> input_gradient_;
  std::vector<double> gradients_;
};

double central_difference(Scalar& scalar, double& variable, double step) {
  const double middle = variable;
  variable = middle + step;
  const double above = scalar.value();
  variable = middle - step;
  const double below = scalar.value();
  variable = middle;
  return (above - below) / (2 * step);
}

// Compares a sample of a tensor's elements. A kink of an activation or maximum within the step shows in
// two step sizes that disagree; such elements are passed over, but only few may be.
void check_tensor(Scalar& scalar, std::span<double> variables, std::span<const double> gradients, double scale,
                  std::size_t samples) {
  const std::size_t stride = std::max<std::size_t>(1, variables.size() / samples);
  std::size_t tried = 0;
  std::size_t compared = 0;
  for (std::size_t i = 0; i < variables.size(); i += stride) {
    const double coarse = central_difference(scalar, variables[i], step_size);
    const double fine = central_difference(scalar, variables[i], step_size / 2);
    ++tried;
    if (std::abs(coarse - fine) > 1e-5 * scale) continue;
    ++compared;
    const double extrapolated = (4 * fine - coarse) / 3;
    BOOST_TEST(std::abs(extrapolated - gradients[i]) <= difference_tolerance * scale,
               "element " << i << ": backward gives " << gradients[i] << ", differences " << extrapolated);
  }
  BOOST_TEST(10 * compared >= 8 * tried, "only " << compared << " of " << tried << " elements were smooth");
}

double largest(std::span<const double> values) {
  double magnitude = 0;
  for (const double value : values) magnitude = std::max(magnitude, std::abs(value));
  return magnitude;
}

// Fewer where a forward costs more, so that the table takes seconds.
std::size_t sample_count(const OpCase& row) {
  std::int64_t work = 0;
  for (const Layer& layer : row.network.layers)
    work += row.batch * (multiply_accumulates(layer.op, layer.input, layer.output) + layer.output.elements());
  constexpr std::int64_t budget = 4'000'000;
  return static_cast<std::size_t>(std::clamp<std::int64_t>(budget / std::max<std::int64_t>(work, 1), 6, 40));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradients)

BOOST_DATA_TEST_CASE(the_reference_agrees_with_finite_differences, data::make(operations()), operation) {
  for (const OpCase* row : op_cases_of(operation)) {
    if (row->mode == Mode::infer || row->input == OpCase::Input::ties) continue;
    Scalar scalar(*row);
    const std::size_t samples = sample_count(*row);
    BOOST_TEST_CONTEXT(row->name << ", the input") {
      // One class: the loss is constant, and so its gradient has no scale of its own.
      const double scale = std::max(largest(scalar.input_gradient()), 1e-3);
      check_tensor(scalar, scalar.input(), scalar.input_gradient(), scale, samples);
    }
    for (const ParameterEntry& entry : scalar.layout().trained) {
      BOOST_TEST_CONTEXT(row->name << ", " << entry.name) {
        check_tensor(scalar, scalar.parameters().subspan(entry.offset, entry.elements()),
                     scalar.gradients().subspan(entry.offset, entry.elements()),
                     gradient_scale(scalar.gradients(), scalar.layout(), entry), samples);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
