#include "train/tensorboard.h"

#include <cmath>
#include <optional>
#include <utility>

namespace descent {

namespace {

constexpr std::size_t most_png_bytes = 64'000'000;

void add_moments(EventValues& values, const std::optional<Summary>& summary, const std::string& what,
                 const std::string& layer) {
  if (!summary) return;
  values.add_scalar(what + "_mean/" + layer, summary->mean);
  values.add_scalar(what + "_std/" + layer, summary->standard_deviation());
}

}  // namespace

TensorBoardWriter::TensorBoardWriter(std::filesystem::path folder)
    : folder_(std::move(folder)), file_(folder_) {}

void TensorBoardWriter::before_fit(FitState& /*state*/) {
  batch_shown_ = false;
}

void TensorBoardWriter::after_loss(FitState& state) {
  if (!state.training) return;
  batch_ = {};
  batch_.add_scalar("train/loss", state.batch_loss);
  batch_.add_scalar("train/lr", state.learning_rate);
  if (const std::optional<double> value = momentum(state.optimizer))
    batch_.add_scalar("train/momentum", *value);
}

void TensorBoardWriter::after_batch(FitState& state) {
  if (!state.training) return;
  file_.write(state.step, batch_);
  if (!std::exchange(batch_shown_, true)) write_picture(state.step, "batch.png", "pictures/first_batch");
}

void TensorBoardWriter::after_both_phases(FitState& /*state*/, const EpochMetrics& metrics) {
  const std::int64_t last = metrics.step - 1;  // as in metrics.csv
  EventValues values;
  values.add_scalar("train/epoch_loss", metrics.train.loss);
  values.add_scalar("train/accuracy", metrics.train.accuracy);
  values.add_scalar("valid/loss", metrics.valid.loss);
  values.add_scalar("valid/accuracy", metrics.valid.accuracy);
  file_.write(last, values);
  write_picture(last, "worst.png", "pictures/worst");
}

void TensorBoardWriter::write_picture(std::int64_t step, const std::string& file, const std::string& tag) {
  if (!std::filesystem::exists(folder_ / file)) return;
  EventValues values;
  values.add_picture(tag, read_file(folder_ / file, most_png_bytes));
  file_.write(step, values);
}

void TensorBoardWriter::write(const StepStatistics& statistics, const Network& network) {
  EventValues values;
  values.add_scalar("gradients/norm", statistics.gradient_norm);
  for (const LayerSummary& layer : statistics.layers) {
    const std::string& name = network.layers.at(layer.layer).name;
    add_moments(values, layer.output, "output", name);
    add_moments(values, layer.gradient, "gradient", name);
    if (layer.output) values.add_histogram("outputs/" + name, *layer.output);
  }
  for (const ParameterSummary& parameter : statistics.parameters) {
    const double ratio = parameter.update_ratio();
    if (!std::isnan(ratio)) values.add_scalar("update_ratio/" + parameter.name, ratio);
  }
  file_.write(statistics.step, values);
}

}  // namespace descent
