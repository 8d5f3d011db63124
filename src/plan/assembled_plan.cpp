#include "plan/assembled_plan.h"

#include "descent/error.h"
#include "plan/observation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <limits>
#include <utility>

namespace descent {

namespace {

void append_addresses(std::vector<void*>& addresses, std::span<const ParameterEntry> entries, std::size_t layer,
                      const Buffer& buffer, std::size_t element_bytes) {
  if (buffer.data() == nullptr) return;
  for (const ParameterEntry& entry : entries) {
    if (entry.layer != layer) continue;
    addresses.push_back(static_cast<std::byte*>(buffer.data()) + entry.offset * element_bytes);
  }
}

double seconds_of(Device& device, auto&& work) {
  device.wait();
  const auto begin = std::chrono::steady_clock::now();
  work();
  device.wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Kernels of a library may name layouts alone: "nhwc → nhwc". What is not in f32 is to be seen.
void set_type(OperationReport& report, DType type) {
  report.type = type;
  if (type != DType::bf16 || report.layout.find(name(type)) != std::string::npos) return;
  report.layout = std::string(name(type)) + " " + report.layout;
}

}  // namespace

AssembledPlan::AssembledPlan(Device& device, std::shared_ptr<KernelFactory> factory, const PlanRequest& request,
                             ParameterStore& store, Assembly assembly)
    : device_(&device),
      factory_(std::move(factory)),
      request_(request),
      store_(&store),
      assembly_(std::move(assembly)),
      loss_rows_(request.loss ? static_cast<std::size_t>(request.batch) * 2 : 0),
      observation_(std::make_unique<Observation>(assembly_.nodes, request)) {}

// What was summarised on the device may be on its way into this plan still.
AssembledPlan::~AssembledPlan() {
  if (request_.watch.empty()) return;
  try {
    device_->wait();
  } catch (const std::exception&) {  // who asks the device for something next hears of it
  }
}

void* AssembledPlan::address(SlotId slot) const {
  const std::optional<std::size_t>& offset = assembly_.slots[slot].offset;
  return offset ? workspace_ + *offset : nullptr;
}

Binding AssembledPlan::binding_of(const Node& node) const {
  Binding binding;
  for (const SlotId input : node.inputs) binding.inputs.push_back(address(input));
  binding.output = address(node.output);
  for (const auto& gradient : node.input_gradients) {
    binding.input_gradients.push_back(gradient ? address(*gradient) : nullptr);
  }
  if (node.output_gradient) binding.output_gradient = address(*node.output_gradient);
  binding.saved = workspace_ + node.saved_offset;
  binding.scratch = workspace_ + assembly_.scratch_offset;
  binding.trailing = workspace_ + node.trailing_offset;
  const std::size_t element = size_of(device_->parameter_type());
  const ParameterLayout& layout = store_->layout();
  for (const std::size_t layer : node.layers) {
    append_addresses(binding.parameters, layout.trained, layer, store_->values(), element);
    append_addresses(binding.parameter_gradients, layout.trained, layer, store_->gradients(), element);
    append_addresses(binding.statistics, layout.statistics, layer, store_->statistics(), element);
  }
  return binding;
}

void AssembledPlan::bind(Buffer& workspace) {
  if (workspace.bytes() < assembly_.workspace_bytes) {
    throw Error("a plan of " + std::to_string(assembly_.workspace_bytes) + " bytes was given a workspace of " +
                    std::to_string(workspace.bytes()),
                Fault::failure);
  }
  workspace_ = static_cast<std::byte*>(workspace.data());
  factory_->forget();
  for (Node& node : assembly_.nodes) node.kernel->bind(binding_of(node));
  seen_version_ = 0;  // what kernels derived may have to go elsewhere
  loaded_directly_ = assembly_.direct_input && !assembly_.direct_input->back;
  if (!assembly_.direct_input || loaded_directly_) return;
  Binding binding = binding_of(assembly_.nodes[assembly_.direct_input->reorder]);
  std::swap(binding.inputs.front(), binding.output);
  assembly_.direct_input->back->bind(binding);
}

void AssembledPlan::require_bound() const {
  if (workspace_ == nullptr) throw Error("a plan was used before bind()", Fault::failure);
}

Tensor AssembledPlan::port(Port which) const {
  if (which == Port::input) settle_input();
  return tensor_of(which);
}

// Who asks for the input may read it, or write it: the plain one counts from now on.
void AssembledPlan::settle_input() const {
  if (!loaded_directly_ || !assembly_.direct_input->back) return;
  loaded_directly_ = false;
  factory_->enter();
  factory_->run({}, {}, [this] { assembly_.direct_input->back->forward({}); });
}

Tensor AssembledPlan::tensor_of(Port which) const {
  require_bound();
  const auto found = assembly_.ports.find(which);
  if (found == assembly_.ports.end()) throw Error("this plan was prepared without that port", Fault::failure);
  return Tensor{assembly_.slots[found->second].desc, address(found->second)};
}

void AssembledPlan::load(const PictureSource& source, const PictureBatch& pictures) {
  if (static_cast<std::int64_t>(pictures.indices.size()) != request_.batch) {
    throw Error("a plan for " + std::to_string(request_.batch) + " pictures was given " +
                    std::to_string(pictures.indices.size()),
                Fault::failure);
  }
  require_bound();
  const SlotId slot = assembly_.direct_input ? assembly_.nodes[assembly_.direct_input->reorder].output
                                             : assembly_.ports.at(Port::input);
  const Tensor input{assembly_.slots[slot].desc, address(slot)};
  const std::optional<Tensor> targets = request_.loss ? std::optional(port(Port::targets)) : std::nullopt;
  observation_->time_load(*device_,
                          [&] { factory_->load(source, pictures, input, targets ? &*targets : nullptr); });
  loaded_directly_ = assembly_.direct_input.has_value();
}

void AssembledPlan::write(Port which, std::span<const float> values) {
  const Tensor tensor = port(which);
  if (static_cast<std::int64_t>(values.size()) != tensor.desc.shape.elements()) {
    throw Error("a tensor of " + to_string(tensor.desc.shape) + " was given " + std::to_string(values.size()) +
                    " values",
                Fault::failure);
  }
  device_->upload(tensor.data, tensor.desc.type, values);
}

void AssembledPlan::read(Port which, std::int64_t first, std::span<float> values) {
  const Tensor tensor = port(which);
  const auto count = static_cast<std::int64_t>(values.size());
  if (first < 0 || first + count > tensor.desc.shape.elements()) {
    throw Error(fmt::format("a tensor of {} was asked for values {} to {}", to_string(tensor.desc.shape), first,
                            first + count),
                Fault::failure);
  }
  const std::size_t offset = static_cast<std::size_t>(first) * size_of(tensor.desc.type);
  device_->download(values, static_cast<const std::byte*>(tensor.data) + offset, tensor.desc.type);
}

void AssembledPlan::refresh() {
  for (Node& node : assembly_.nodes) node.kernel->refresh();
}

void AssembledPlan::refresh_if_stale() {
  if (seen_version_ == store_->version()) return;
  factory_->run({}, {}, [this] { refresh(); });
  seen_version_ = store_->version();
}

void AssembledPlan::run_forward(const StepContext& context) {
  if (observation_->idle()) {
    for (std::size_t i = 0; i < assembly_.nodes.size(); ++i) {
      if (!is_passed_over(i)) assembly_.nodes[i].kernel->forward(context);
    }
  } else {
    observe_forward(context);
  }
  if (request_.loss) factory_->gather_result(tensor_of(Port::loss_rows));
}

void AssembledPlan::run_backward(const StepContext& context) {
  if (!observation_->idle()) return observe_backward(context);
  for (auto node = assembly_.nodes.rbegin(); node != assembly_.nodes.rend(); ++node) {
    if (node->kernel->needs().leaves_branches) continue;  // so that what trails goes on beside who takes them
    factory_->begin_backward();
    node->kernel->backward(context);
  }
  factory_->end_backward();
}

void AssembledPlan::forward(const StepContext& context) {
  require_bound();
  factory_->enter();
  refresh_if_stale();
  const auto kind = observation_->idle() ? PlanPart::Kind::forward : PlanPart::Kind::other;
  factory_->run({kind, loaded_directly_}, context, [this, &context] { run_forward(context); });
  if (request_.mode != Mode::train) return;
  store_->mark_changed();  // the running statistics; training kernels derive nothing from those
  seen_version_ = store_->version();
}

StepResult AssembledPlan::result() {
  if (const auto gathered = factory_->gathered_result()) return *gathered;
  read(Port::loss_rows, loss_rows_);
  StepResult result;
  for (std::size_t row = 0; row < loss_rows_.size(); row += 2) {
    result.loss_sum += static_cast<double>(loss_rows_[row]);
    result.correct += loss_rows_[row + 1] != 0.0F ? 1 : 0;
  }
  return result;
}

void AssembledPlan::backward(const StepContext& context) {
  require_bound();
  if (request_.mode != Mode::train) throw Error("a plan for inference has no backward", Fault::failure);
  factory_->enter();
  const auto kind = observation_->idle() ? PlanPart::Kind::backward : PlanPart::Kind::other;
  factory_->run({kind, loaded_directly_}, context, [this, &context] { run_backward(context); });
}

bool AssembledPlan::has_step() const {
  return request_.mode == Mode::train && request_.loss && observation_->idle() && factory_->joins_update();
}

void AssembledPlan::step(const StepContext& context, OptimizerState& state, const UpdateRequest& request) {
  if (!has_step()) {
    forward(context);
    backward(context);
    if (std::isfinite(result().loss_sum)) device_->update(*store_, state, request);
    return;
  }
  require_bound();
  factory_->enter();
  factory_->prepare_update(*store_, state, request);
  // Parameters have changed since the last step: what kernels derive from them belongs to every step.
  factory_->run({PlanPart::Kind::step, loaded_directly_}, context, [this, &context] {
    refresh();
    run_forward(context);
    run_backward(context);
    factory_->enqueue_update();
  });
  store_->mark_changed();
}

void AssembledPlan::summarise(SlotId slot, bool histogram, Summary& result) {
  const TensorDesc& desc = assembly_.slots[slot].desc;
  device_->summarise({address(slot), desc.type, static_cast<std::size_t>(desc.shape.elements())}, histogram,
                     result);
}

void AssembledPlan::observe_forward(const StepContext& context) {
  for (std::size_t i = 0; i < assembly_.nodes.size(); ++i) {
    const Node& node = assembly_.nodes[i];
    if (is_passed_over(i)) continue;
    observation_->time(*device_, i, Observation::Direction::forward, [&] { node.kernel->forward(context); });
    if (Summary* output = observation_->output_of(i)) {
      node.kernel->complete(address(node.output));
      summarise(node.output, true, *output);
    }
  }
}

void AssembledPlan::observe_backward(const StepContext& context) {
  for (std::size_t i = assembly_.nodes.size(); i-- > 0;) {
    const Node& node = assembly_.nodes[i];
    Summary* gradient = observation_->gradient_of(i);
    if (gradient != nullptr && node.output_gradient) summarise(*node.output_gradient, false, *gradient);
    observation_->time(*device_, i, Observation::Direction::backward, [&] {
      node.kernel->backward(context);
      factory_->end_backward();  // its time is its own
    });
  }
}

std::span<const LayerSummary> AssembledPlan::summaries() {
  device_->wait();
  return observation_->summaries();
}

std::optional<std::string> AssembledPlan::first_nonfinite_layer(const StepContext& context) {
  require_bound();
  factory_->enter();
  refresh_if_stale();
  std::optional<std::string> found;
  std::vector<float> values;
  for (std::size_t i = 0; i < assembly_.nodes.size(); ++i) {
    const Node& node = assembly_.nodes[i];
    if (is_passed_over(i)) continue;
    const TensorDesc& desc = assembly_.slots[node.output].desc;
    Buffer lent;  // for what has no memory of its own
    if (address(node.output) == nullptr) lent = device_->allocate(desc.bytes());
    void* const output = lent.data() != nullptr ? lent.data() : address(node.output);
    factory_->run({}, context, [&] {
      node.kernel->forward(context);
      node.kernel->complete(output);
    });
    values.resize(static_cast<std::size_t>(desc.shape.elements()));
    device_->download(values, output, desc.type);
    if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) {
      found = node.name;
      break;
    }
  }
  if (request_.mode == Mode::train) store_->mark_changed();  // the running statistics, once more
  return found;
}

std::vector<OperationReport> AssembledPlan::explain(int runs) {
  require_bound();
  factory_->enter();
  refresh_if_stale();
  const std::size_t count = assembly_.nodes.size();
  std::vector<double> forward_seconds(count, std::numeric_limits<double>::infinity());
  std::vector<double> backward_seconds(count, std::numeric_limits<double>::infinity());
  for (std::size_t i = 0; runs == 0 && i < count; ++i) {
    forward_seconds[i] = observation_->mean_seconds(i, Observation::Direction::forward);
    backward_seconds[i] = observation_->mean_seconds(i, Observation::Direction::backward);
  }
  for (int run = 0; run < runs; ++run) {
    for (std::size_t i = 0; i < count; ++i) {
      if (is_passed_over(i)) continue;
      Kernel& kernel = *assembly_.nodes[i].kernel;
      forward_seconds[i] =
          std::min(forward_seconds[i],
                   seconds_of(*device_, [&] { factory_->run({}, {}, [&] { kernel.forward({}); }); }));
    }
    for (std::size_t i = count; request_.mode == Mode::train && i-- > 0;) {
      Kernel& kernel = *assembly_.nodes[i].kernel;
      backward_seconds[i] =
          std::min(backward_seconds[i],
                   seconds_of(*device_, [&] { factory_->run({}, {}, [&] { kernel.backward({}); }); }));
    }
  }

  if (request_.mode == Mode::train && runs > 0) store_->mark_changed();  // the running statistics

  std::vector<OperationReport> reports;
  if (const double seconds = observation_->mean_load_seconds(); runs == 0 && seconds > 0) {
    reports.push_back({"", "load pictures", "loops", "", seconds, 0, 0});
  }
  for (std::size_t i = 0; i < count; ++i) {
    OperationReport report = assembly_.nodes[i].kernel->report_forward();
    if (report.operation.empty() || is_passed_over(i))
      continue;  // no work: flatten, gradient sums going forward
    report.layer = assembly_.nodes[i].name;
    set_type(report, assembly_.slots[assembly_.nodes[i].output].desc.type);
    report.seconds = forward_seconds[i];
    reports.push_back(std::move(report));
  }
  for (std::size_t i = count; request_.mode == Mode::train && i-- > 0;) {
    OperationReport report = assembly_.nodes[i].kernel->report_backward();
    if (report.operation.empty()) continue;
    report.layer = assembly_.nodes[i].name;
    set_type(report, assembly_.slots[assembly_.nodes[i].output].desc.type);
    report.seconds = backward_seconds[i];
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace descent
