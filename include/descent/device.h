// The one device interface. A device is given a network with batch size and mode and returns a
// prepared plan; a step then only executes: no tensor is allocated, no primitive created, no layout
// decided.
#pragma once

#include "descent/buffer.h"
#include "descent/network.h"
#include "descent/optimizer.h"
#include "descent/parameters.h"
#include "descent/statistics.h"
#include "descent/tensor.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace descent {

enum class Mode : std::uint8_t {
  train,  // batch statistics, dropout, gradients
  infer,  // running statistics, no gradients
};

struct PlanRequest {
  Mode mode = Mode::infer;
  std::int64_t batch = 1;
  bool loss = false;             // end in softmax cross-entropy against targets
  bool input_gradient = false;   // train: also the gradient of the input
  bool loads_alone = false;      // the input comes through load() alone: there may be no port of it
  DType precision = DType::f32;  // of activations; parameters keep Device::parameter_type()

  // train: layers to summarise at every step. Each ends its kernel (nothing after it is joined to it).
  std::vector<WatchedLayer> watch{};
  bool profile = false;  // time every operation of every step, for explain(0)
  // The batch of a plan prepared before that differs from this one in it alone, such as the batches before a
  // smaller last one: the device may go by what it has timed for that, and time only what that did not have.
  std::int64_t timed_batch = 0;  // 0: there is none
};

// What a step's random draws depend on, besides seed-independent facts of the network.
struct StepContext {
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
  std::uint64_t first_picture = 0;  // position in the epoch of the batch's first picture
};

// Sums over one batch.
struct StepResult {
  double loss_sum = 0;  // Σ over pictures; divide by the batch
  std::int64_t correct = 0;
};

// Pictures that a device keeps in its own memory: Device::place.
class PlacedPictures {
 public:
  virtual ~PlacedPictures() = default;
  PlacedPictures() = default;
  PlacedPictures(const PlacedPictures&) = delete;
  PlacedPictures& operator=(const PlacedPictures&) = delete;
};

// Pictures in host memory: count × C×H×W bytes, one label each.
struct PictureSource {
  std::span<const std::uint8_t> pictures;
  std::span<const std::int32_t> labels;  // may be empty where no loss is asked for
  Shape shape;                           // C×H×W
  const Normalisation* normalisation = nullptr;
  const PlacedPictures* placed = nullptr;  // the same pictures and labels, where the plan's device keeps them
};

// How a batch sees a picture: mirrored, then moved. What comes in at the edges is 0 once normalised: the mean.
struct PictureView {
  std::int16_t down = 0;  // pixels
  std::int16_t right = 0;
  bool mirrored = false;  // left and right change places

  friend bool operator==(const PictureView&, const PictureView&) = default;
};

// The pictures of one batch: their places in the source, and how each is seen (no views: as it is).
struct PictureBatch {
  std::span<const std::uint32_t> indices;
  std::span<const PictureView> views{};  // none, or one each
};

struct UpdateRequest;
class OptimizerState;

// One line of `--explain`: how the device computes one layer, in one direction.
struct OperationReport {
  std::string layer;           // "0.0", or "0.0 + 0.1" where layers were joined
  std::string operation;       // "conv forward", "reorder"
  std::string implementation;  // "jit:avx512_core", "loops"
  std::string layout;          // "nchw → nhwc"
  double seconds = 0;          // of one execution; 0 where none was timed
  double flops = 0;            // of one execution; 0 where none are counted
  double bytes = 0;            // read and written at least
  DType type = DType::f32;     // of what it writes
};

// A network prepared for one batch size and mode. Holds no parameters: those live in the store that
// it was prepared with, which must outlive it. One thread at a time; several plans may run at once.
class Plan {
 public:
  virtual ~Plan() = default;
  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // Activations, gradients of activations and scratch live in one arena. Plans that never run at the
  // same time may share one, as large as the largest asks.
  [[nodiscard]] virtual std::size_t workspace_bytes() const = 0;
  virtual void bind(Buffer& workspace) = 0;  // before the first step; the buffer must outlive the plan

  // Where a host may read and write: plain order, elements of the device's activation type.
  enum class Port : std::uint8_t {
    input,            // N×C×H×W
    targets,          // N×K distributions; needs loss
    output,           // the network's output (logits); valid after forward
    loss_rows,        // N×2: loss and whether it was right, a picture each; needs loss
    output_gradient,  // written by the caller before backward where there is no loss
    input_gradient,   // needs input_gradient; valid after backward
  };
  [[nodiscard]] virtual Tensor port(Port which) const = 0;  // throws Error if the plan has none

  // Fills input and targets: gathers source[pictures.indices[i]] for i < batch as pictures.views says,
  // normalises, and sets the targets to the labels' indicator rows. indices.size() is the batch.
  virtual void load(const PictureSource& source, const PictureBatch& pictures) = 0;
  virtual void write(Port which, std::span<const float> values) = 0;
  // Values [first, first + values.size()) of the port. Waits for the device.
  virtual void read(Port which, std::int64_t first, std::span<float> values) = 0;
  void read(Port which, std::span<float> values) { read(which, 0, values); }

  virtual void forward(const StepContext& context) = 0;
  virtual StepResult result() = 0;  // of the last forward; needs loss; waits for the device

  // Mode::train, after forward. Writes every parameter gradient of the store (assigns, never adds).
  // Without a loss it starts from Port::output_gradient.
  virtual void backward(const StepContext& context) = 0;

  // A whole training step at once, for plans with a loss: forward, backward, and the update of the parameters,
  // which is left out where the loss is not finite. Where it pays (has_step), nothing waits in between, and
  // result() gives the loss while the rest is still being computed.
  [[nodiscard]] virtual bool has_step() const { return false; }
  virtual void step(const StepContext& context, OptimizerState& state, const UpdateRequest& request) = 0;

  // Of the layers of PlanRequest::watch, in the last step; waits for the device.
  [[nodiscard]] virtual std::span<const LayerSummary> summaries() = 0;

  // Runs the last forward again, layer by layer, and names the first whose output is not finite.
  virtual std::optional<std::string> first_nonfinite_layer(const StepContext& context) = 0;

  // How every operation is computed. With runs > 0 the plan is run that often on what is loaded and each
  // operation's shortest time reported; parameters are not changed then, running statistics are. With
  // runs = 0 the times are the means over the steps so far if PlanRequest::profile asked for them.
  virtual std::vector<OperationReport> explain(int runs) = 0;
};

// Scratch state of one optimizer over one store: slots × flat buffer, zero at first.
class OptimizerState {
 public:
  OptimizerState(Device& device, const ParameterLayout& layout, std::size_t slots);

  [[nodiscard]] std::size_t slots() const noexcept { return slots_; }
  [[nodiscard]] Buffer& values() noexcept { return values_; }  // slot s begins at s·trained_elements
  std::int64_t step = 0;                                       // updates made so far

 private:
  std::size_t slots_;
  Buffer values_;
};

struct UpdateRequest {
  const Optimizer& optimizer;
  std::span<const UpdateRange> ranges;
  double learning_rate = 0;
  double weight_decay = 0;
  Decay decay = Decay::decoupled;
  double clip_norm = 0;  // > 0: scale all gradients so that their global norm is at most this
};

// What a device computes and moves at most: the roofs under which every operation works.
struct Peaks {
  // A copy of `bytes` in all: half of them read, half written.
  struct Copy {
    std::size_t bytes = 0;
    double bytes_per_second = 0;
  };

  double f32_flops = 0;        // operations a second; a multiply-add counts as two
  double bf16_flops = 0;       // the same, of products of bf16 summed up in f32; 0: no instructions for them
  std::vector<Copy> copies{};  // from small ones, that caches hold, to large ones
};

// A line of `descent doctor`: "oneDNN", "3.2.0".
struct DeviceFact {
  std::string subject;
  std::string finding;
};

class Device {
 public:
  virtual ~Device() = default;
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] virtual std::string_view name() const = 0;          // "cpu"
  [[nodiscard]] virtual std::string description() const = 0;        // "AMD EPYC, avx512_core_bf16, 2 threads"
  [[nodiscard]] virtual std::vector<DeviceFact> facts() const = 0;  // what more there is to know of it
  [[nodiscard]] virtual DType parameter_type() const = 0;           // of ParameterStore's buffers

  [[nodiscard]] virtual Buffer allocate(std::size_t bytes) = 0;  // 64-byte aligned, zeroed
  // Between host f32 and as many elements of `type` at a device address.
  virtual void upload(void* to, DType type, std::span<const float> from) = 0;
  virtual void download(std::span<float> to, const void* from, DType type) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;  // between device addresses

  // Starts to summarise the values at a device address, or their differences values − minus if `minus` is not
  // null. `result` is complete after wait().
  struct Values {
    const void* values = nullptr;
    DType type = DType::f32;
    std::size_t count = 0;
    const void* minus = nullptr;
  };
  virtual void summarise(const Values& values, bool histogram, Summary& result) = 0;

  [[nodiscard]] virtual std::unique_ptr<Plan> prepare(const Network& network, const PlanRequest& request,
                                                      ParameterStore& store) = 0;

  // Keeps these pictures and labels in the device's own memory, so that load() need not carry them there; null
  // if there is not enough of it, or nothing to gain. They must not outlive the device.
  [[nodiscard]] virtual std::unique_ptr<PlacedPictures> place(const PictureSource& /*source*/) {
    return nullptr;
  }

  // One fused pass over the flat buffers; counts state.step up first and marks the store changed.
  virtual void update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) = 0;

  virtual void wait() = 0;  // until everything asked for has been done

  // Measured now, by small kernels of the device's own with all of it at work; takes about a second.
  [[nodiscard]] virtual Peaks peaks() = 0;

  // Measured choices (the plan cache) as a file for the run folder; empty if the device makes none.
  [[nodiscard]] virtual std::string plan_text() const = 0;
};

// Whose code computes, where there is a choice.
enum class Kernels : std::uint8_t {
  automatic,  // whatever is faster
  library,    // the device's library (oneDNN on the CPU), wherever it has more than reference code
  own,        // descent's own, wherever it has some
};

struct DeviceOptions {
  int threads = 0;                    // 0: what affinity and the cgroup's quota really give
  std::filesystem::path plan_file{};  // measured choices to repeat; empty: the user's plan cache
  bool use_plan_cache = true;         // false: neither read nor write the cache
  bool measure = true;                // false: choose layouts by rule, not by timing (tests)
  Kernels kernels = Kernels::automatic;
  bool tf32 = false;  // CUDA's libraries may round the factors of products in f32 to 10 bits behind the point
  // Told, in one sentence and at most once, how the first plan falls short of what was asked for.
  std::function<void(const std::string&)> warn{};
  // Told what a start waits for, in one sentence, after a second of it and again every ten seconds.
  std::function<void(const std::string&)> tell{};
};

// "cpu", "cuda", "cuda:1" (the second GPU). Throws Error with the nearest name, or one sentence on what the
// device lacks. The CPU changes how the calling thread computes, and every thread that calls it later: numbers
// too small to be normal count as zero, and OpenMP's teams have the device's threads; and for the process, that
// oneDNN keeps f32 as it is. These settings stay. While the CPU computes, handlers of signals need a stack of
// their own (sigaltstack, SA_ONSTACK): kernels of oneDNN's use the stack pointer for something else.
[[nodiscard]] std::unique_ptr<Device> make_device(std::string_view name, const DeviceOptions& options);
// Kinds of devices that this build knows, whether this machine has one or not.
[[nodiscard]] std::vector<std::string> device_names();
// Throws Error, with the nearest name, if no such device can be asked for.
void check_device_name(std::string_view name);
// "cpu", or what there is where descent was built without it.
[[nodiscard]] std::string default_device_name();

// Cores that affinity and the cgroup quota (v1 and v2) give this process; at least 1.
[[nodiscard]] int usable_cores();

}  // namespace descent
