// Turns units into nodes with slots, and slots into ranges of one arena.
//
// Every value has one slot for itself and, when training, one for its gradient, both in its producer's
// format. A reader that wants another format gets a reorder node before it. A value with several readers
// gets a gradient-sum node behind its producer, so that every kernel assigns and none adds.

#include "plan/arena.h"
#include "plan/assembled_plan.h"
#include "plan/kernel.h"
#include "plan/units.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

namespace descent {

namespace {

// Slots that share memory are one range whose life is the union of theirs.
class SharedMemory {
 public:
  void grow_to(std::size_t count) {
    while (parents_.size() < count) parents_.push_back(parents_.size());
  }
  [[nodiscard]] SlotId root(SlotId slot) const {
    while (parents_[slot] != slot) slot = parents_[slot];
    return slot;
  }
  void join(SlotId a, SlotId b) { parents_[root(a)] = root(b); }

 private:
  std::vector<SlotId> parents_;
};

class Assembler {
 public:
  Assembler(KernelFactory& factory, const Network& network, const PlanRequest& request)
      : factory_(factory),
        request_(request),
        training_(request.mode == Mode::train),
        planned_(std::make_shared<PlannedLayers>(planned_layers(network, request))),
        units_(std::make_shared<std::vector<Unit>>(partition(*planned_, factory, request))),
        input_shape_(network.input) {
    count_readers();
    for (std::size_t i = 0; i < units_->size(); ++i) {
      requests_.push_back(kernel_request((*units_)[i]));
      requests_.back().mean_is_removed = training_ && feeds_norm(i);
    }
    values_.resize(planned_->layers.size() + 2);
  }

  Assembly build() {
    factory_.consider(requests_);
    add_source(0, Port::input);
    if (request_.loss) add_source(planned_->targets(), Port::targets);
    for (const KernelRequest& request : requests_) {
      add_unit(request);
      if (request.unit.output == planned_->output()) add_output_port();
    }
    find_direct_input();
    plan_memory();
    assembly_.planned = planned_;
    assembly_.units = units_;
    return std::move(assembly_);
  }

 private:
  using Port = Plan::Port;

  // A value's slots. Readers take `branches` one after the other, in the order in which they run.
  struct Value {
    SlotId slot = 0;
    std::optional<SlotId> gradient;
    std::vector<SlotId> branches;
    std::size_t branches_taken = 0;
  };

  [[nodiscard]] bool wants_gradient(ValueId value) const {
    if (!training_ || (request_.loss && value == planned_->targets())) return false;
    return value != 0 || request_.input_gradient;
  }

  // The caller reads the network's output, and writes its gradient where no loss does.
  [[nodiscard]] bool caller_gives_gradient(ValueId value) const {
    return training_ && !request_.loss && value == planned_->output();
  }

  [[nodiscard]] Format port_format() const { return {factory_.port_type(), Layout::plain}; }

  [[nodiscard]] TensorDesc desc_of(ValueId value) const {
    const DType type = factory_.port_type();
    if (value == 0) return {type, input_shape_.with_batch(request_.batch)};
    const bool targets = request_.loss && value == planned_->targets();
    const Layer& layer = planned_->layers[targets ? planned_->layers.size() - 1 : value - 1];
    return {type, (targets ? layer.input : layer.output).with_batch(request_.batch)};
  }

  void count_readers() {
    readers_.assign(planned_->layers.size() + 2, 0);
    for (const Unit& unit : *units_) {
      for (const ValueId input : unit.inputs) ++readers_[input];
    }
  }

  [[nodiscard]] KernelRequest kernel_request(const Unit& unit) const {
    KernelRequest request{unit, request_, {}, desc_of(unit.output), {}};
    for (const ValueId input : unit.inputs) {
      request.inputs.push_back(desc_of(input));
      request.input_gradients.push_back(wants_gradient(input));
      request.sole_reader.push_back(readers_[input] == 1 && input != 0 && input != planned_->output());
    }
    request.input_is_free = !training_ && request.is_sole_reader(0);
    return request;
  }

  // Units are in the order of their layers: who alone reads a value may be anywhere behind its producer. A mean
  // taken behind an activation does not take away what a bias adds before it.
  [[nodiscard]] bool feeds_norm(std::size_t index) const {
    const Unit& producer = (*units_)[index];
    const ValueId value = producer.output;
    if (readers_[value] != 1 || value == planned_->output() || producer.layers.size() > 1) return false;
    return std::any_of(units_->begin(), units_->end(), [&](const Unit& unit) {
      return unit.inputs.front() == value && std::holds_alternative<BatchNorm>(unit.first().op);
    });
  }

  SlotId add_slot(const TensorDesc& desc) {
    assembly_.slots.push_back({desc});
    shared_.grow_to(assembly_.slots.size());
    return assembly_.slots.size() - 1;
  }

  Value& add_value(ValueId id, Format format) {
    const TensorDesc desc = desc_of(id).in(format);
    Value& value = values_[id];
    value.slot = add_slot(desc);
    if (wants_gradient(id)) value.gradient = add_slot(desc);
    return value;
  }

  void add_source(ValueId id, Port port) {
    const Value& value = add_value(id, port_format());
    assembly_.ports[port] = value.slot;
    if (port == Port::input && value.gradient) assembly_.ports[Port::input_gradient] = *value.gradient;
    branch_gradients(id, nullptr);
  }

  // Behind the producer: one gradient slot a reader, and the node that sums them if there are several.
  void branch_gradients(ValueId id, Kernel* writer) {
    Value& value = values_[id];
    if (!value.gradient) return;
    const std::size_t branches = readers_[id] + (caller_gives_gradient(id) ? 1 : 0);
    if (branches == 1) {
      value.branches = {*value.gradient};
      return;
    }
    const TensorDesc desc = assembly_.slots[value.slot].desc;
    Node node;
    node.name = id == 0 ? "input" : planned_->layers[id - 1].name;
    node.kernel = factory_.prepare_gradient_sum(desc, branches, gradient_is_watched(id) ? nullptr : writer);
    node.output = value.slot;
    node.inputs = {value.slot};
    node.output_gradient = value.gradient;
    if (node.kernel->needs().leaves_branches) without_memory_.push_back(*value.gradient);
    for (std::size_t branch = 0; branch < branches; ++branch) {
      value.branches.push_back(add_slot(desc));
      node.input_gradients.emplace_back(value.branches.back());
    }
    add_node(std::move(node));
  }

  struct Reading {
    SlotId slot;
    std::optional<SlotId> gradient;
  };

  // The value in the format that a reader wants, through a reorder if need be.
  Reading read_value(ValueId id, Format wanted, bool with_gradient, const std::string& reader) {
    Value& value = values_[id];
    std::optional<SlotId> branch;
    if (with_gradient) branch = value.branches.at(value.branches_taken++);
    const TensorDesc desc = assembly_.slots[value.slot].desc;
    if (factory_.same_bytes(desc, wanted)) return {value.slot, branch};

    Node node;
    node.name = reader;
    node.kernel = factory_.prepare_reorder(desc, wanted, with_gradient);
    node.inputs = {value.slot};
    node.input_gradients = {branch};
    node.output = add_slot(desc.in(wanted));
    if (with_gradient) node.output_gradient = add_slot(desc.in(wanted));
    const Reading reading{node.output, node.output_gradient};
    add_node(std::move(node));
    return reading;
  }

  void add_unit(const KernelRequest& request) {
    const Unit& unit = request.unit;
    Node node;
    node.name = unit.name();
    node.layers = unit.indices;
    node.kernel = factory_.prepare(request);
    const KernelNeeds& needs = node.kernel->needs();
    for (std::size_t input = 0; input < unit.inputs.size(); ++input) {
      const Reading reading =
          read_value(unit.inputs[input], needs.inputs.at(input), request.input_gradients[input], node.name);
      node.inputs.push_back(reading.slot);
      node.input_gradients.push_back(reading.gradient);
    }
    const bool is_loss = unit.indices.back() >= planned_->network_layers;
    Value& value = add_value(unit.output, needs.output);
    node.output = value.slot;
    if (is_loss) {
      value.gradient.reset();  // of the loss itself: one
      assembly_.ports[Port::loss_rows] = value.slot;
    }
    node.output_gradient = value.gradient;

    if (needs.output_is_input) shared_.join(node.output, node.inputs.front());
    if (needs.gradient_is_shared && node.output_gradient) {
      for (const auto& gradient : node.input_gradients) {
        if (gradient) shared_.join(*gradient, *node.output_gradient);
      }
    }
    if (needs.gradients_are_one) {
      const auto& first = node.input_gradients.front();
      for (const auto& gradient : node.input_gradients) {
        if (first && gradient) shared_.join(*gradient, *first);
      }
    }
    if (needs.gradient_over_input && !needs.backward_trails && node.input_gradients.front() &&
        nobody_else_reads(unit.inputs.front())) {
      shared_.join(*node.input_gradients.front(), node.inputs.front());
    }
    if (needs.input_stays_in_cache && !is_watched(unit.inputs.front())) {
      without_memory_.push_back(node.inputs.front());
      without_memory_.push_back(node.input_gradients.front().value());
    }
    add_node(std::move(node));
    if (!is_loss) branch_gradients(unit.output, assembly_.nodes.back().kernel.get());
  }

  [[nodiscard]] bool is_watched(ValueId value) const {
    return std::ranges::any_of(request_.watch,
                               [&](const WatchedLayer& watched) { return watched.layer + 1 == value; });
  }

  [[nodiscard]] bool gradient_is_watched(ValueId value) const {
    return std::ranges::any_of(request_.watch, [&](const WatchedLayer& watched) {
      return watched.gradient && watched.layer + 1 == value;
    });
  }

  // Neither another unit, nor the caller, nor the value's own producer once it goes backward.
  [[nodiscard]] bool nobody_else_reads(ValueId value) const {
    if (value == 0 || value == planned_->output() || readers_[value] != 1) return false;
    const SlotId memory = shared_.root(values_[value].slot);
    return std::none_of(assembly_.nodes.begin(), assembly_.nodes.end(), [&](const Node& node) {
      return shared_.root(node.output) == memory && node.kernel->needs().backward_reads_output;
    });
  }

  void add_output_port() {
    const ValueId id = planned_->output();
    const Reading reading = read_value(id, port_format(), caller_gives_gradient(id), "output");
    assembly_.ports[Port::output] = reading.slot;
    if (reading.gradient) assembly_.ports[Port::output_gradient] = *reading.gradient;
  }

  void add_node(Node node) { assembly_.nodes.push_back(std::move(node)); }

  // Where a reorder is the only reader of the input, pictures can be loaded as it would write them.
  void find_direct_input() {
    const SlotId input = assembly_.ports.at(Port::input);
    if (assembly_.slots[input].desc.shape.rank() != 4 || wants_gradient(0)) return;
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < assembly_.nodes.size(); ++i) {
      const Node& node = assembly_.nodes[i];
      if (std::find(node.inputs.begin(), node.inputs.end(), input) != node.inputs.end()) found.push_back(i);
    }
    const auto& ports = assembly_.ports;
    const bool is_output = ports.contains(Port::output) && ports.at(Port::output) == input;
    if (found.size() != 1 || is_output || !assembly_.nodes[found.front()].layers.empty()) return;
    const TensorDesc wanted = assembly_.slots[assembly_.nodes[found.front()].output].desc;
    if (!factory_.loads_into(wanted)) return;
    assembly_.direct_input = DirectInput{found.front(), nullptr};
    if (request_.loads_alone) {
      assembly_.ports.erase(Port::input);
      without_memory_.push_back(input);
    } else {
      assembly_.direct_input->back = factory_.prepare_reorder(wanted, port_format(), false);
    }
  }

  // The event of the backward that follows that of node i.
  [[nodiscard]] std::size_t next_backward(std::size_t i) const {
    const std::size_t end = 2 * assembly_.nodes.size() - 1;
    const bool passes = i > 0 && assembly_.nodes[i - 1].kernel->needs().leaves_branches;
    return std::min(end - i + (passes ? 2 : 1), end);
  }

  [[nodiscard]] bool has_memory(SlotId slot) const {
    return std::ranges::none_of(without_memory_,
                                [&, this](SlotId one) { return shared_.root(one) == shared_.root(slot); });
  }

  void plan_memory() {
    const std::size_t nodes = assembly_.nodes.size();
    const std::size_t end = (training_ ? 2 * nodes : nodes) - 1;
    const std::size_t slots = assembly_.slots.size();
    std::vector<std::optional<Lifetime>> lives(slots);
    const auto touch = [&](SlotId slot, std::size_t event) {
      const SlotId root = shared_.root(slot);
      if (!has_memory(root)) return;
      const std::size_t bytes = assembly_.slots[slot].desc.bytes();
      if (!lives[root]) lives[root] = Lifetime{bytes, event, event};
      lives[root]->bytes = std::max(lives[root]->bytes, bytes);
      lives[root]->first = std::min(lives[root]->first, event);
      lives[root]->last = std::max(lives[root]->last, event);
    };

    std::vector<Lifetime> lifetimes;
    std::vector<Lifetime> trailing;
    std::size_t scratch = 0;
    for (std::size_t i = 0; i < nodes; ++i) {
      const Node& node = assembly_.nodes[i];
      const KernelNeeds& needs = node.kernel->needs();
      const std::size_t backward = end - i;  // the mirror event when training
      const std::size_t done = needs.backward_trails ? next_backward(i) : backward;
      touch(node.output, i);
      for (const SlotId input : node.inputs) {
        touch(input, i);
        if (training_ && needs.backward_reads_inputs) touch(input, done);
      }
      if (training_) {
        if (needs.backward_reads_output) touch(node.output, backward);
        if (node.output_gradient) touch(*node.output_gradient, done);
        for (const auto& gradient : node.input_gradients) {
          if (!gradient) continue;
          touch(*gradient, backward);
          if (needs.leaves_branches) touch(*gradient, std::min(backward + 1, end));
        }
        const auto first = node.input_gradients.empty() ? std::nullopt : node.input_gradients.front();
        if (needs.forward_writes_gradient && first) touch(*first, i);
      }
      lifetimes.push_back({needs.saved_bytes, i, training_ ? done : i});
      trailing.push_back({training_ ? needs.trailing_bytes : 0, backward, done});
      scratch = std::max(scratch, needs.scratch_bytes);
    }
    for (const auto& [port, slot] : assembly_.ports) {
      const bool written_by_caller =
          port == Port::input || port == Port::targets || port == Port::output_gradient;
      if (written_by_caller) touch(slot, 0);
      touch(slot, end);
    }

    if (assembly_.direct_input) {  // the last forward may be run again
      const SlotId slot = assembly_.nodes[assembly_.direct_input->reorder].output;
      touch(slot, 0);
      touch(slot, end);
      const auto& back = assembly_.direct_input->back;
      if (back) scratch = std::max(scratch, back->needs().scratch_bytes);
    }
    lifetimes.push_back({scratch, 0, end});
    lifetimes.insert(lifetimes.end(), trailing.begin(), trailing.end());
    std::vector<SlotId> roots;
    for (SlotId slot = 0; slot < slots; ++slot) {
      if (!lives[slot]) continue;
      roots.push_back(slot);
      lifetimes.push_back(*lives[slot]);
    }
    const ArenaPlan plan = plan_arena(lifetimes);
    for (std::size_t i = 0; i < nodes; ++i) {
      assembly_.nodes[i].saved_offset = plan.offsets[i];
      assembly_.nodes[i].trailing_offset = plan.offsets[nodes + 1 + i];
    }
    assembly_.scratch_offset = plan.offsets[nodes];
    std::vector<std::size_t> offset_of_root(slots, 0);
    for (std::size_t i = 0; i < roots.size(); ++i) offset_of_root[roots[i]] = plan.offsets[2 * nodes + 1 + i];
    for (SlotId slot = 0; slot < slots; ++slot) {
      if (has_memory(slot)) assembly_.slots[slot].offset = offset_of_root[shared_.root(slot)];
    }
    assembly_.workspace_bytes = plan.bytes;
  }

  KernelFactory& factory_;
  PlanRequest request_;
  bool training_;
  std::shared_ptr<PlannedLayers> planned_;
  std::shared_ptr<std::vector<Unit>> units_;
  Shape input_shape_;
  std::vector<std::size_t> readers_;  // units that read each value
  std::vector<KernelRequest> requests_;
  std::vector<Value> values_;
  SharedMemory shared_;
  std::vector<SlotId> without_memory_;  // these, and what would share it with them
  Assembly assembly_;
};

}  // namespace

std::unique_ptr<Plan> assemble(Device& device, std::shared_ptr<KernelFactory> factory, const Network& network,
                               const PlanRequest& request, ParameterStore& store) {
  Assembly assembly = Assembler(*factory, network, request).build();
  return std::make_unique<AssembledPlan>(device, std::move(factory), request, store, std::move(assembly));
}

}  // namespace descent
