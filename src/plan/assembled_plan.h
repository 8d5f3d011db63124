// A plan made of kernels in the order in which they run. Built by assemble(); knows no device.
#pragma once

#include "plan/kernel.h"
#include "plan/units.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace descent {

// Index into Assembly::slots.
using SlotId = std::size_t;

// A tensor of the step: where it lies in the arena is decided once. None: nothing of it is ever there.
struct Slot {
  TensorDesc desc;
  std::optional<std::size_t> offset{};
};

// A kernel with the slots it works on.
struct Node {
  std::string name;  // of its layers; of the consumer for a reorder
  std::unique_ptr<Kernel> kernel;
  std::vector<std::size_t> layers;  // indices; empty for reorders and gradient sums
  std::vector<SlotId> inputs;
  SlotId output = 0;
  std::vector<std::optional<SlotId>> input_gradients;
  std::optional<SlotId> output_gradient;
  std::size_t saved_offset = 0;     // in the arena; meaningful if the kernel saves anything
  std::size_t trailing_offset = 0;  // likewise
};

// Pictures written straight into the format in which the network's first reader wants them.
struct DirectInput {
  std::size_t reorder = 0;  // the node that is then passed over
  // From that node's output to the port; null: there is no port, and all is loaded so.
  std::unique_ptr<Kernel> back;
};

struct Assembly {
  std::shared_ptr<const PlannedLayers> planned;  // nodes' units point into it
  std::shared_ptr<const std::vector<Unit>> units;
  std::vector<Slot> slots;
  std::vector<Node> nodes;  // forward order; backward is the reverse
  std::map<Plan::Port, SlotId> ports;
  std::optional<DirectInput> direct_input;
  std::size_t scratch_offset = 0;
  std::size_t workspace_bytes = 0;
};

class Observation;

class AssembledPlan final : public Plan {
 public:
  AssembledPlan(Device& device, std::shared_ptr<KernelFactory> factory, const PlanRequest& request,
                ParameterStore& store, Assembly assembly);
  ~AssembledPlan() override;
  AssembledPlan(const AssembledPlan&) = delete;
  AssembledPlan& operator=(const AssembledPlan&) = delete;

  [[nodiscard]] std::size_t workspace_bytes() const override { return assembly_.workspace_bytes; }
  void bind(Buffer& workspace) override;

  [[nodiscard]] Tensor port(Port which) const override;
  void load(const PictureSource& source, const PictureBatch& pictures) override;
  void write(Port which, std::span<const float> values) override;
  using Plan::read;
  void read(Port which, std::int64_t first, std::span<float> values) override;

  void forward(const StepContext& context) override;
  StepResult result() override;
  void backward(const StepContext& context) override;
  [[nodiscard]] bool has_step() const override;
  void step(const StepContext& context, OptimizerState& state, const UpdateRequest& request) override;

  [[nodiscard]] std::span<const LayerSummary> summaries() override;
  std::optional<std::string> first_nonfinite_layer(const StepContext& context) override;
  std::vector<OperationReport> explain(int runs) override;

 private:
  [[nodiscard]] void* address(SlotId slot) const;
  [[nodiscard]] Binding binding_of(const Node& node) const;
  // Tensor of a port, whatever has been loaded.
  [[nodiscard]] Tensor tensor_of(Port which) const;
  // Pictures were loaded past this node.
  [[nodiscard]] bool is_passed_over(std::size_t node) const {
    return loaded_directly_ && node == assembly_.direct_input->reorder;
  }
  void settle_input() const;
  void refresh_if_stale();
  void require_bound() const;
  void refresh();
  void run_forward(const StepContext& context);
  void run_backward(const StepContext& context);
  void observe_forward(const StepContext& context);
  void observe_backward(const StepContext& context);
  void summarise(SlotId slot, bool histogram, Summary& result);

  Device* device_;
  std::shared_ptr<KernelFactory> factory_;
  PlanRequest request_;
  ParameterStore* store_;
  Assembly assembly_;
  std::byte* workspace_ = nullptr;
  std::uint64_t seen_version_ = 0;        // of the store, when kernels last derived from it
  std::vector<float> loss_rows_;          // host copy, allocated once
  mutable bool loaded_directly_ = false;  // the input's port holds nothing yet
  std::unique_ptr<Observation> observation_;
};

}  // namespace descent
