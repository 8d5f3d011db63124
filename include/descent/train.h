// The training loop. Everything that watches or steers it is an Observer: progress, metrics files,
// checkpoints; the loop itself has no special case for any.
#pragma once

#include "descent/augment.h"
#include "descent/data.h"
#include "descent/device.h"
#include "descent/network.h"
#include "descent/optimizer.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace descent {

struct TrainSettings {
  std::int64_t epochs = 2;
  std::int64_t steps = 0;  // > 0: stop after so many batches, then validate
  std::int64_t batch_size = 1024;
  std::int64_t valid_batch_size = 0;  // 0: twice batch_size
  std::uint64_t seed = 42;
  bool shuffle = true;
  Augmentation augmentation{};  // of training pictures
  Optimizer optimizer = Adam{};
  Decay decay = Decay::decoupled;
  std::vector<ParameterGroup> groups;
  double clip_norm = 0;
  DType precision = DType::f32;
  std::vector<WatchedLayer> watch;  // summarised, and operations timed, at every `watch_every`-th step
  std::int64_t watch_every = 10;
};

struct PhaseMetrics {
  double loss = 0;      // Σ batch_loss·batch_n / Σ batch_n, in double
  double accuracy = 0;  // correct / pictures
  std::int64_t pictures = 0;
  double seconds = 0;
};

// Sums over a phase so far.
struct PhaseSums {
  double loss_sum = 0;  // Σ over pictures
  std::int64_t correct = 0;
  std::int64_t pictures = 0;
  double seconds = 0;

  void add(const StepResult& result, std::int64_t batch_pictures) {
    loss_sum += result.loss_sum;
    correct += result.correct;
    pictures += batch_pictures;
  }
  [[nodiscard]] PhaseMetrics metrics() const {
    const auto count = static_cast<double>(std::max<std::int64_t>(pictures, 1));
    return {loss_sum / count, static_cast<double>(correct) / count, pictures, seconds};
  }
};

// Between two batches of a fit: what it would train next.
struct FitPosition {
  std::int64_t epoch = 0;
  std::int64_t step = 0;      // batches trained so far, …
  std::int64_t batch = 0;     // … those of this epoch, …
  PhaseSums sums;             // … and what they summed up to
  double learning_rate = 0;   // of the last step
  double best_accuracy = -1;  // highest of an epoch's validation; −1: there was none
};

struct EpochMetrics {
  std::int64_t epoch = 0;  // from 0
  std::int64_t step = 0;   // batches trained so far
  double learning_rate = 0;
  PhaseMetrics train;
  PhaseMetrics valid;
};

// The state of a fit, as observers see it.
struct FitState {
  const TrainSettings& settings;
  ParameterStore& store;
  OptimizerState& optimizer_state;
  Optimizer& optimizer;   // observers may set its options: schedules do
  double& learning_rate;  // of the next step
  std::int64_t steps_per_epoch = 0;
  std::int64_t epoch = 0;
  std::int64_t step = 0;  // from 0; of the batch at hand
  bool training = true;   // false while validating
  std::int64_t batch_pictures = 0;
  double batch_loss = 0;                           // mean of the batch at hand, before its update
  double batch_accuracy = 0;                       // its share of right answers
  PhaseMetrics running{};                          // of the phase so far
  std::span<const std::uint32_t> batch_indices{};  // of the batch's pictures, in their set
  Plan* plan = nullptr;  // of the batch; its ports may be read, but for the input while validating
  bool watched = false;  // the plan summarises this step
  bool failed = false;   // an error ends the fit: for those that clean up
  FitPosition next{};    // after the batch at hand, or the epoch
};

enum class Scope : std::uint8_t { fit, epoch, batch };

// Thrown by an observer to leave a scope: its after_ is skipped, its cleanup_ is called, the loop goes on
// with what follows. A batch that is cancelled counts as a step. (Course's CancelFit/Epoch/BatchException.)
struct Cancel {
  Scope scope;
};

// Called in the order in which they were given. `epoch` scopes one phase: training or validation.
// Whatever happens, cleanup_ is called of all of them: where one throws an error, the others still clean up.
// after_loss is called before the loss is checked: the fit ends with an Error if it is not finite, unless an
// observer cancels first.
// On a device that makes whole steps at once (Plan::has_step) the hooks of a training batch are called in the
// same order, but after all of the step has been asked for: what after_loss changes counts from the next step
// on, and a Cancel there does not undo the update. Gradients can still be read in after_backward. Steps that
// are watched are made part by part on every device.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void before_fit(FitState& /*state*/) {}
  virtual void before_epoch(FitState& /*state*/) {}
  virtual void before_batch(FitState& /*state*/) {}
  virtual void after_loss(FitState& /*state*/) {}
  virtual void after_backward(FitState& /*state*/) {}
  virtual void after_step(FitState& /*state*/) {}
  virtual void after_batch(FitState& /*state*/) {}
  virtual void after_epoch(FitState& /*state*/) {}
  virtual void after_both_phases(FitState& /*state*/, const EpochMetrics& /*metrics*/) {}
  virtual void after_fit(FitState& /*state*/) {}
  virtual void cleanup_batch(FitState& /*state*/) {}
  virtual void cleanup_epoch(FitState& /*state*/) {}
  virtual void cleanup_fit(FitState& /*state*/) {}
};

struct FitCheckpoint;  // checkpoint.h

// Trains `store` in place; `from`: a fit with these settings and data that is taken up where it was left, with
// the store that it had. Gives the epochs that it has ended. Throws Error (Fault::failure) naming step and
// layer when a loss is not finite.
std::vector<EpochMetrics> fit(const Network& network, ParameterStore& store, const DataSet& data,
                              const TrainSettings& settings, std::span<Observer* const> observers,
                              const FitCheckpoint* from = nullptr);

// After a batch of an evaluation: its plan, whose output and loss rows may be read, and its pictures.
using AfterBatch = std::function<void(Plan&, std::span<const std::uint32_t>)>;

// Loss and accuracy with running statistics, pictures in order. `precision`: of activations.
[[nodiscard]] PhaseMetrics evaluate(const Network& network, ParameterStore& store, const PictureSet& pictures,
                                    std::int64_t batch_size, DType precision = DType::f32,
                                    const AfterBatch& after_batch = {});

}  // namespace descent
