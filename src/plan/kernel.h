// What a device implements: kernels. A kernel computes one operation, or several neighbours at once,
// at one shape, forward and backward. The shared code in this folder turns a network into kernels,
// plans their memory and runs them, so that no device writes the network again.
#pragma once

#include "descent/device.h"
#include "descent/network.h"
#include "descent/tensor.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace descent {

// Neighbouring layers that one kernel computes: each but the first reads the output of the one before it
// and nobody else does. Usually one layer.
struct Unit {
  std::vector<const Layer*> layers;
  std::vector<std::size_t> indices;  // of the layers in the network; its size for the loss
  std::vector<ValueId> inputs;       // values from outside, in the order in which the layers read them
  ValueId output = 0;

  [[nodiscard]] const Layer& first() const { return *layers.front(); }
  [[nodiscard]] const Layer& last() const { return *layers.back(); }
  [[nodiscard]] std::string name() const;  // "0.0", "0.0 + 0.1"
};

// What a kernel wants; read once, by the planner.
struct KernelNeeds {
  std::vector<Format> inputs;     // wanted format of each input and of its gradient
  Format output;                  // in which it writes its output and reads its gradient
  std::size_t saved_bytes = 0;    // kept from forward to backward
  std::size_t scratch_bytes = 0;  // within one call
  // Some of what backward started goes on while the next kernel's backward runs, and is done when the one after
  // that begins: until then it reads inputs, what was saved and the output's gradient, and has memory of its
  // own.
  bool backward_trails = false;
  std::size_t trailing_bytes = 0;
  bool backward_reads_inputs = false;
  bool backward_reads_output = false;
  // The output shares the memory of input 0. A kernel that then works in place (rather than not at all)
  // may ask for it only where KernelRequest::input_is_free.
  bool output_is_input = false;
  bool gradient_is_shared = false;       // input gradients share the output gradient's memory: no work backward
  bool gradients_are_one = false;        // input gradients share one memory, which backward writes once
  bool forward_writes_gradient = false;  // of input 0: backward finds it done
  // Of a value's summed gradients: nobody writes the sum, because the backward of the value's writer, which
  // comes next, reads the branches itself, and has done so when it ends. This kernel has no backward then.
  bool leaves_branches = false;
  // Backward writes the gradient of input 0 where it has read input 0 for the last time: both may share memory.
  bool gradient_over_input = false;
  // Input 0 is made in cache where it is read, and its gradient is used up there: where nobody watches them
  // they get no memory, and their addresses are null.
  bool input_stays_in_cache = false;
};

// Addresses, given once. A pointer is null where the request has no such thing.
struct Binding {
  std::vector<void*> inputs;
  void* output = nullptr;
  std::vector<void*> input_gradients;  // null: not wanted
  void* output_gradient = nullptr;
  void* saved = nullptr;
  void* scratch = nullptr;
  void* trailing = nullptr;
  // One list over the unit's layers, each in the order of parameters_of(): trained tensors, their
  // gradients (empty without a gradient buffer), and statistics.
  std::vector<void*> parameters;
  std::vector<void*> parameter_gradients;
  std::vector<void*> statistics;
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  [[nodiscard]] virtual const KernelNeeds& needs() const = 0;
  virtual void bind(const Binding& binding) = 0;
  virtual void refresh() {}  // the parameters have changed: derive again what was derived from them
  virtual void forward(const StepContext& context) = 0;
  virtual void backward(const StepContext& context) = 0;  // assigns every gradient it owes
  // Writes to `output`, of the output's format, what forward left to its reader; nothing otherwise.
  virtual void complete(void* /*output*/) {}

  // Names, layouts and work for --explain; seconds are filled in by the plan.
  // An empty `operation` says that there is no work to report.
  [[nodiscard]] virtual OperationReport report_forward() const = 0;
  [[nodiscard]] virtual OperationReport report_backward() const { return {}; }
};

struct KernelRequest {
  const Unit& unit;
  const PlanRequest& plan;
  std::vector<TensorDesc> inputs;  // with batch, in the ports' format; the device decides formats
  TensorDesc output;
  std::vector<bool> input_gradients;  // which inputs' gradients are wanted
  std::vector<bool> sole_reader{};    // which inputs nobody else reads, neither the network's input nor output
  bool input_is_free = false;         // nobody else reads input 0, forward or backward
  // The unit is one layer, and batch normalisation over the batch alone reads its output: it takes away what a
  // bias adds, whose gradient is therefore zero.
  bool mean_is_removed = false;

  [[nodiscard]] bool is_sole_reader(std::size_t input) const {
    return input < sole_reader.size() && sole_reader[input];
  }
};

// What a plan runs again and again. Parts of the same kind run the same kernels in the same order with the same
// addresses, so a device may record them and play them back.
struct PlanPart {
  enum class Kind : std::uint8_t { forward, backward, step, other };
  Kind kind = Kind::other;       // other: never the same again
  bool loaded_directly = false;  // pictures were loaded past the reorder of the input

  friend bool operator==(const PlanPart&, const PlanPart&) = default;
};

// The device's side of assemble().
class KernelFactory {
 public:
  virtual ~KernelFactory() = default;

  // Called before every run of a plan, in the thread that runs it.
  virtual void enter() {}
  // Runs kernels: all that `work` does belongs to the step of `context`.
  virtual void run(const PlanPart& /*part*/, const StepContext& /*context*/,
                   const std::function<void()>& work) {
    work();
  }
  // The plan's addresses have changed: what was recorded is void.
  virtual void forget() {}
  // How many layers at the start of `run` (≥ 1 of them) this device computes as one kernel.
  [[nodiscard]] virtual std::size_t claim(std::span<const Layer* const> run,
                                          const PlanRequest& request) const = 0;
  [[nodiscard]] virtual std::unique_ptr<Kernel> prepare(const KernelRequest& request) = 0;
  // Called once, before prepare(), with all units, which stay where they are until the last is prepared: the
  // moment to choose formats for the whole network.
  virtual void consider(std::span<const KernelRequest> requests) = 0;

  // Element type of what a host reads and writes (Plan::Port), always plain.
  [[nodiscard]] virtual DType port_type() const = 0;
  // True if the value's bytes are the same in both formats.
  [[nodiscard]] virtual bool same_bytes(const TensorDesc& desc, Format other) const = 0;
  // Forward copies the value from its format to the other, backward its gradient back.
  [[nodiscard]] virtual std::unique_ptr<Kernel> prepare_reorder(const TensorDesc& from, Format to,
                                                                bool gradient) = 0;
  // Forward does nothing (outputs share the input's memory); backward: the input's gradient is the sum of
  // the `branches` gradients, which Binding::input_gradients lists; their sum goes to output_gradient. `writer`
  // wrote the input; null where it is the network's, and where somebody watches the sum.
  [[nodiscard]] virtual std::unique_ptr<Kernel> prepare_gradient_sum(const TensorDesc& desc,
                                                                     std::size_t branches, Kernel* writer) = 0;
  // True if load() can write pictures in this format, too.
  [[nodiscard]] virtual bool loads_into(const TensorDesc& input) const = 0;
  // Gathers and normalises pictures into `input`, and writes indicator rows of labels (plain).
  virtual void load(const PictureSource& source, const PictureBatch& batch, const Tensor& input,
                    const Tensor* targets) = 0;

  // Before each kernel's backward: what trails behind the kernel before the last must end first.
  virtual void begin_backward() {}
  // What comes next needs all that trails.
  virtual void end_backward() {}

  // The end of every forward with a loss: a device that computes apart from the host may add up the rows
  // itself, and have the sums ready before it has done all that was asked of it.
  virtual void gather_result(const Tensor& /*loss_rows*/) {}
  // Those sums, as soon as they are there; none: the plan reads the rows.
  [[nodiscard]] virtual std::optional<StepResult> gathered_result() { return std::nullopt; }

  // True if an update can belong to a part: prepare_update() hands over what changes from step to step, before
  // the part runs; enqueue_update() is called within it and does nothing where the loss is not finite.
  [[nodiscard]] virtual bool joins_update() const { return false; }
  virtual void prepare_update(ParameterStore& /*store*/, OptimizerState& /*state*/,
                              const UpdateRequest& /*request*/) {}
  virtual void enqueue_update() {}
};

// The shared way from network to plan: partition into units, prepare, insert reorders and gradient sums,
// lay out one arena, and run.
[[nodiscard]] std::unique_ptr<Plan> assemble(Device& device, std::shared_ptr<KernelFactory> factory,
                                             const Network& network, const PlanRequest& request,
                                             ParameterStore& store);

}  // namespace descent
