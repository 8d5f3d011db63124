#include "train/observers.h"

#include "base/csv.h"
#include "descent/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace descent {

CsvRecorder::CsvRecorder(const std::filesystem::path& folder, const FitPosition& start)
    : metrics_(folder / "metrics.csv",
               "epoch,step,lr,train_loss,train_accuracy,valid_loss,valid_accuracy,train_seconds,valid_seconds",
               start.epoch),
      steps_(folder / "steps.csv", "step,lr,train_loss,momentum,train_accuracy", start.step) {}

void CsvRecorder::after_loss(FitState& state) {
  rate_ = state.learning_rate;
  momentum_ = momentum(state.optimizer).value_or(std::numeric_limits<double>::quiet_NaN());
}

void CsvRecorder::after_batch(FitState& state) {
  if (state.training) {
    steps_.write(fmt::format("{},{:.9g},{:.9g},{},{:.9g}", state.step, rate_, state.batch_loss,
                             csv_number(momentum_), state.batch_accuracy));
  }
}

void CsvRecorder::after_both_phases(FitState& /*state*/, const EpochMetrics& metrics) {
  metrics_.write(fmt::format("{},{},{:.9g},{:.9g},{:.9g},{:.9g},{:.9g},{:.9g},{:.9g}", metrics.epoch,
                             metrics.step - 1,  // the epoch's last, counted from 0 as in steps.csv
                             metrics.learning_rate, metrics.train.loss, metrics.train.accuracy,
                             metrics.valid.loss, metrics.valid.accuracy, metrics.train.seconds,
                             metrics.valid.seconds));
}

CheckpointWriter::CheckpointWriter(std::filesystem::path folder, ModelDescription description,
                                   const FitPosition& start)
    : folder_(std::move(folder)),
      model_{std::move(description), {}},
      best_accuracy_(start.best_accuracy),
      saved_step_(start.step) {}

void CheckpointWriter::after_both_phases(FitState& state, const EpochMetrics& metrics) {
  const bool best = metrics.valid.accuracy > best_accuracy_;
  best_accuracy_ = std::max(best_accuracy_, metrics.valid.accuracy);
  save(state, best);
}

void CheckpointWriter::cleanup_fit(FitState& state) {
  if (!state.failed && state.next.step != saved_step_) save(state, false);
}

void CheckpointWriter::save(const FitState& state, bool best) {
  FitCheckpoint left = checkpoint_of(state);
  saved_step_ = left.position.step;
  model_.parameters = std::move(left.parameters);
  save_as("model.safetensors");
  if (best) save_as("best.safetensors");
  left.parameters = std::exchange(model_.parameters, {});
  // Last: whoever takes the run up from it finds the other files as far as it is.
  save_checkpoint(folder_ / checkpoint, left, state.store.layout());
}

void CheckpointWriter::save_as(const std::string& file) const {
  save_model(folder_ / file, model_);
}

}  // namespace descent
