#include "train/observers.h"

#include "base/csv.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

namespace descent {

CsvRecorder::CsvRecorder(const std::filesystem::path& folder)
    : metrics_(folder / "metrics.csv",
               "epoch,step,lr,train_loss,train_accuracy,valid_loss,valid_accuracy,train_seconds,valid_seconds"),
      steps_(folder / "steps.csv", "step,lr,train_loss,momentum,train_accuracy") {}

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

CheckpointWriter::CheckpointWriter(std::filesystem::path folder, ModelDescription description)
    : folder_(std::move(folder)), model_{std::move(description), {}} {}

void CheckpointWriter::after_both_phases(FitState& state, const EpochMetrics& metrics) {
  save_as("model.safetensors", state.store);
  if (metrics.valid.accuracy > best_accuracy_) {
    best_accuracy_ = metrics.valid.accuracy;
    save_as("best.safetensors", state.store);
  }
}

void CheckpointWriter::save_as(const std::string& file, const ParameterStore& store) {
  model_.parameters = store.download();
  save_model(folder_ / file, model_);
}

}  // namespace descent
