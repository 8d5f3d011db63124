#include "case_run.h"

#include "descent/random.h"
#include "plan/element.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace descent::test {

namespace {

// Draws for tests, by what they are for.
class Draws {
 public:
  Draws(std::uint64_t seed, std::uint32_t item) : key_{seed, Purpose::demo, 0, item} {}
  // In [low, high), a multiple of 2⁻¹⁶: exact in f32 and still exact after small steps.
  float next(double low, double high) {
    const double draw = uniform(random_bits(key_, position_++)[0]);
    return static_cast<float>(std::round((low + (high - low) * draw) * 65536) / 65536);
  }
  std::size_t below(std::size_t bound) { return uniform_below(key_, position_++, bound); }

 private:
  RandomKey key_;
  std::uint64_t position_ = 0;
};

// A shuffled grid over (−2, 2): no two values are equal and none is 0.
std::vector<float> distinct_values(std::size_t count, Draws draws) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double place = (static_cast<double>(i) + 0.3) / static_cast<double>(count);
    values[i] = static_cast<float>(std::round((4 * place - 2) * 65536) / 65536);
  }
  for (std::size_t i = count; i > 1; --i) std::swap(values[i - 1], values[draws.below(i)]);
  return values;
}

std::vector<float> input_values(OpCase::Input kind, std::size_t count, Draws draws) {
  std::vector<float> values = distinct_values(count, draws);
  for (float& value : values) {
    if (kind == OpCase::Input::ties) value = std::round(value * 2) / 2;
    if (kind == OpCase::Input::large) value *= 100;
  }
  return values;
}

std::vector<float> target_rows(bool soft, std::size_t rows, std::size_t classes, Draws draws) {
  std::vector<float> targets(rows * classes, 0.0F);
  for (std::size_t row = 0; row < rows; ++row) {
    float* begin = targets.data() + row * classes;
    begin[draws.below(classes)] = 1;
    if (!soft) continue;
    for (std::size_t k = 0; k < classes; ++k) begin[k] += draws.next(0.1, 1);
    const float sum = std::accumulate(begin, begin + classes, 0.0F);
    for (std::size_t k = 0; k < classes; ++k) begin[k] /= sum;
  }
  return targets;
}

// Weights of a size that keeps activations near 1; scales of both signs.
void draw_tensor(std::span<float> values, const ParameterEntry& entry, bool statistic, Draws draws) {
  const bool of_norm = entry.shape.rank() == 1 && entry.name.ends_with("weight");
  const double fan_in = static_cast<double>(entry.shape.elements()) / static_cast<double>(entry.shape[0]);
  const double bound = entry.shape.rank() > 1 ? std::min(1.0, std::sqrt(3 / fan_in)) : 0.5;
  for (float& value : values) {
    if (statistic && entry.name.ends_with("var")) {
      value = draws.next(0.5, 1.5);
    } else if (of_norm) {
      value = draws.next(0.5, 1.5) * (draws.below(2) == 0 ? 1.0F : -1.0F);
    } else {
      value = draws.next(-bound, bound);
    }
  }
}

}  // namespace

CaseValues case_values(const OpCase& row, const ParameterLayout& layout, DType precision) {
  const auto batch = static_cast<std::size_t>(row.batch);
  const auto elements = [&](const Shape& shape) { return batch * static_cast<std::size_t>(shape.elements()); };
  const Shape& output = row.network.shape(row.network.layers.size());

  CaseValues values;
  values.input = input_values(row.input, elements(row.network.input), Draws(row.seed, 1));
  if (row.loss) {
    values.targets =
        target_rows(row.soft_targets, batch, static_cast<std::size_t>(output.elements()), Draws(row.seed, 2));
  } else {
    values.output_gradient = distinct_values(elements(output), Draws(row.seed, 3));
  }
  values.parameters.trained.resize(layout.trained_elements);
  values.parameters.statistics.resize(layout.statistic_elements);
  values.parameters.counters.resize(layout.counters.size());
  std::uint32_t item = 4;
  for (const ParameterEntry& entry : layout.trained) {
    const std::span<float> tensor =
        std::span(values.parameters.trained).subspan(entry.offset, entry.elements());
    draw_tensor(tensor, entry, false, Draws(row.seed, item++));
  }
  for (const ParameterEntry& entry : layout.statistics) {
    const std::span<float> tensor =
        std::span(values.parameters.statistics).subspan(entry.offset, entry.elements());
    draw_tensor(tensor, entry, true, Draws(row.seed, item++));
  }
  if (precision == DType::bf16) {
    for (std::vector<float>* of :
         {&values.input, &values.output_gradient, &values.parameters.trained, &values.parameters.statistics}) {
      for (float& value : *of) value = to_f32(to_bf16(value));
    }
  }
  return values;
}

void poison(Device& device, void* to, DType type, std::size_t count) {
  const std::vector<float> nothing(count, std::numeric_limits<float>::quiet_NaN());
  device.upload(to, type, nothing);
}

CaseRun::CaseRun(Device& device, const OpCase& row, bool input_gradient, DType precision)
    : device_(device),
      row_(row),
      input_gradient_(input_gradient && row.mode == Mode::train),
      store_(device, parameter_layout(row.network), row.mode == Mode::train),
      values_(case_values(row, store_.layout(), precision)),
      context_{row.seed, 3, 7 * row.seed} {
  PlanRequest request;
  request.mode = row.mode;
  request.batch = row.batch;
  request.loss = row.loss;
  request.input_gradient = input_gradient_;
  request.precision = precision;
  restore_parameters();
  plan_ = device.prepare(row.network, request, store_);
  const std::size_t element = size_of(device.parameter_type());
  const std::size_t count = (plan_->workspace_bytes() + element - 1) / element;
  workspace_ = device.allocate(count * element);
  poison(device, workspace_.data(), device.parameter_type(), count);
  plan_->bind(workspace_);
  if (!store_.has_gradients()) return;
  auto* gradients = static_cast<std::byte*>(store_.gradients().data());
  for (const ParameterEntry& entry : store_.layout().trained)  // not the gaps between them
    poison(device, gradients + entry.offset * element, device.parameter_type(), entry.elements());
}

void CaseRun::restore_parameters() {
  store_.upload(values_.parameters);
}

void CaseRun::load_values() {
  plan_->write(Plan::Port::input, values_.input);
  if (row_.loss) plan_->write(Plan::Port::targets, values_.targets);
}

void CaseRun::forward() {
  plan_->forward(context_);
}

void CaseRun::backward() {
  if (!row_.loss) plan_->write(Plan::Port::output_gradient, values_.output_gradient);
  plan_->backward(context_);
}

Outcome CaseRun::step() {
  Outcome outcome;
  restore_parameters();
  load_values();
  forward();
  const Shape& output = row_.network.shape(row_.network.layers.size());
  outcome.output.resize(static_cast<std::size_t>(row_.batch * output.elements()));
  plan_->read(Plan::Port::output, outcome.output);
  if (row_.loss) {
    outcome.result = plan_->result();
    outcome.loss_rows.resize(static_cast<std::size_t>(row_.batch) * 2);
    plan_->read(Plan::Port::loss_rows, outcome.loss_rows);
  }
  outcome.statistics = store_.download().statistics;
  if (row_.mode == Mode::infer) return outcome;
  backward();
  if (input_gradient_) {
    outcome.input_gradient.resize(values_.input.size());
    plan_->read(Plan::Port::input_gradient, outcome.input_gradient);
  }
  outcome.gradients = store_.download_gradients();
  return outcome;
}

double gradient_scale(std::span<const double> gradients, const ParameterLayout& layout,
                      const ParameterEntry& entry) {
  const auto largest = [&](const ParameterEntry& tensor) {
    double magnitude = 0;
    for (const double value : gradients.subspan(tensor.offset, tensor.elements()))
      magnitude = std::max(magnitude, std::abs(value));
    return magnitude;
  };
  const double own = largest(entry);
  double of_layer = own;
  for (const ParameterEntry& other : layout.trained)
    if (other.layer == entry.layer) of_layer = std::max(of_layer, largest(other));
  constexpr double rounding = 1e-6;  // float copies of gradients that are zero keep this much noise at most
  return own < rounding * of_layer ? of_layer : own;
}

}  // namespace descent::test
