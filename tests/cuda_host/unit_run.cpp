#include "unit_run.h"

#include "cuda/layouts.h"
#include "plan/element.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

namespace descent::test {

namespace {

// Where element i of the plain order lies in channels-last.
std::vector<std::size_t> channels_last(const Shape& shape) {
  const auto elements = static_cast<std::size_t>(shape.elements());
  std::vector<std::size_t> places(elements);
  const auto channels = static_cast<std::size_t>(shape[1]);
  const std::size_t cells = elements / static_cast<std::size_t>(shape[0]) / channels;
  for (std::size_t i = 0; i < elements; ++i) {
    const std::size_t picture = i / (channels * cells);
    places[i] = (picture * cells + i % cells) * channels + i / cells % channels;
  }
  return places;
}

// A tensor in device memory, in f32 or bf16.
class DeviceTensor {
 public:
  DeviceTensor(const TestStream& stream, const TensorDesc& desc)
      : type_(desc.type), places_(channels_last(desc.shape)), bytes_(stream, desc.bytes()) {}
  DeviceTensor(const TestStream& stream, const TensorDesc& desc, const std::vector<float>& plain)
      : DeviceTensor(stream, desc) {
    std::vector<std::byte> bytes(desc.bytes());
    for (std::size_t i = 0; i < places_.size(); ++i) {
      const Bf16 half = to_bf16(plain[i]);
      if (type_ == DType::bf16) std::memcpy(&bytes[places_[i] * 2], &half, 2);
      if (type_ == DType::f32) std::memcpy(&bytes[places_[i] * 4], &plain[i], 4);
    }
    check(cudaMemcpyAsync(data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice, stream.context().stream),
          "cudaMemcpyAsync");
    stream.wait();
  }

  [[nodiscard]] void* data() const { return bytes_.data(); }
  [[nodiscard]] std::vector<float> plain() const {
    const std::vector<std::byte> bytes = bytes_.download();
    std::vector<float> values(places_.size());
    for (std::size_t i = 0; i < places_.size(); ++i) {
      Bf16 half{};
      if (type_ == DType::bf16) std::memcpy(&half, &bytes[places_[i] * 2], 2);
      if (type_ == DType::bf16) values[i] = to_f32(half);
      if (type_ == DType::f32) std::memcpy(&values[i], &bytes[places_[i] * 4], 4);
    }
    return values;
  }

 private:
  DType type_;
  std::vector<std::size_t> places_;
  DeviceArray<std::byte> bytes_;
};

std::vector<void*> addresses(const std::vector<ParameterEntry>& entries, float* flat) {
  std::vector<void*> all;
  for (const ParameterEntry& entry : entries) all.push_back(flat + entry.offset);
  return all;
}

}  // namespace

Outcome run_unit(const MakeKernel& make, const OpCase& row, DType precision, const UnitRun& how) {
  const TestStream stream(how.beside);
  const ParameterLayout layout = parameter_layout(row.network);
  const CaseValues values = case_values(row, layout, precision);
  const bool trains = row.mode == Mode::train;
  PlanRequest plan;
  plan.mode = row.mode;
  plan.batch = row.batch;
  plan.input_gradient = trains;
  plan.precision = precision;

  const std::size_t first = std::holds_alternative<Flatten>(row.network.layers.front().op) ? 1 : 0;
  Unit unit;
  for (std::size_t i = first; i < row.network.layers.size(); ++i) {
    unit.layers.push_back(&row.network.layers[i]);
    unit.indices.push_back(i);
  }
  unit.inputs.assign(1, first);
  const bool adds = std::any_of(unit.layers.begin(), unit.layers.end(),
                                [](const Layer* layer) { return std::holds_alternative<Add>(layer->op); });
  if (adds) unit.inputs.push_back(first);
  unit.output = row.network.layers.size();
  const TensorDesc in{precision, row.network.layers[first].input.with_batch(row.batch)};
  const TensorDesc out{precision, row.network.layers.back().output.with_batch(row.batch)};
  const KernelRequest request{unit, plan, std::vector<TensorDesc>(unit.inputs.size(), in), out,
                              std::vector<bool>(unit.inputs.size(), trains)};
  const std::unique_ptr<Kernel> kernel = make(request, in.shape.rank() == 4 ? nhwc : nchw, stream.context());
  const KernelNeeds& needs = kernel->needs();

  const DeviceTensor input(stream, in, values.input);
  const DeviceTensor output(stream, out);
  const DeviceTensor input_gradient(stream, in);
  const DeviceTensor output_gradient(
      stream, out,
      trains ? values.output_gradient : std::vector<float>(static_cast<std::size_t>(out.shape.elements())));
  const DeviceArray<float> parameters(stream, values.parameters.trained);
  std::vector<float> nothing(layout.trained_elements, 0.0F);
  for (const ParameterEntry& entry : layout.trained)  // not the gaps between them
    std::fill_n(nothing.begin() + static_cast<std::ptrdiff_t>(entry.offset), entry.elements(), std::nanf(""));
  const DeviceArray<float> gradients(stream, nothing);
  const DeviceArray<float> statistics(stream, values.parameters.statistics);
  const DeviceArray<std::byte> saved(stream, needs.saved_bytes);
  const DeviceArray<std::byte> scratch(stream, needs.scratch_bytes);
  const DeviceArray<std::byte> trailing(stream, needs.trailing_bytes);
  Binding binding;
  binding.inputs.assign(unit.inputs.size(), input.data());
  binding.output = output.data();
  if (trains) binding.input_gradients.assign(1, input_gradient.data());
  if (trains) binding.output_gradient = output_gradient.data();
  binding.saved = saved.data();
  binding.scratch = scratch.data();
  binding.trailing = trailing.data();
  binding.parameters = addresses(layout.trained, parameters.data());
  if (trains) binding.parameter_gradients = addresses(layout.trained, gradients.data());
  binding.statistics = addresses(layout.statistics, statistics.data());
  kernel->bind(binding);
  kernel->refresh();
  for (int step = 0; step < (how.again ? 2 : 1); ++step) {
    check(cudaMemcpyAsync(statistics.data(), values.parameters.statistics.data(),
                          layout.statistic_elements * sizeof(float), cudaMemcpyHostToDevice,
                          stream.context().stream),
          "cudaMemcpyAsync");
    kernel->forward({});
    if (trains) kernel->backward({});
    if (how.beside) stream.context().side->catch_up();
  }

  Outcome outcome;
  outcome.output = output.plain();
  outcome.statistics = statistics.download();
  if (!trains) return outcome;
  outcome.input_gradient = input_gradient.plain();
  outcome.gradients = gradients.download();
  return outcome;
}

}  // namespace descent::test
