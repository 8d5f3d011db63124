#include "train/predictions.h"

#include "base/csv.h"
#include "base/files.h"
#include "data/class_name.h"
#include "data/write_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace descent {

namespace {

void read_port(Plan& plan, Plan::Port port, std::vector<float>& values) {
  values.resize(static_cast<std::size_t>(plan.port(port).desc.shape.elements()));
  plan.read(port, values);
}

}  // namespace

Predictions::Predictions(const PictureSet& pictures, const std::vector<std::string>& classes)
    : pictures_(pictures), names_(classes), kept_(tiles_of_sheet(pictures.shape, sheet_columns, most_worst)) {}

void Predictions::take(Plan& plan, std::span<const std::uint32_t> indices) {
  read_port(plan, Plan::Port::output, outputs_);
  read_port(plan, Plan::Port::loss_rows, loss_rows_);
  classes_ = outputs_.size() / indices.size();
  counts_.resize(classes_ * classes_);
  for (std::size_t i = 0; i < indices.size(); ++i)
    take_one(indices[i], std::span(outputs_).subspan(i * classes_, classes_), loss_rows_[2 * i]);
}

void Predictions::clear() {
  counts_.clear();
  worst_.clear();
}

void Predictions::write(const std::filesystem::path& folder) const {
  write_file_atomically(folder / "confusion.csv", confusion_csv());
  write_file_atomically(folder / "worst.csv", worst_csv());
  write_file_atomically(folder / "worst.png", worst_png());
}

void Predictions::take_one(std::uint32_t index, std::span<const float> logits, float loss) {
  const auto highest = std::max_element(logits.begin(), logits.end());
  const auto said = static_cast<std::size_t>(highest - logits.begin());
  ++counts_[static_cast<std::size_t>(pictures_.labels[index]) * classes_ + said];
  if (worst_.size() == kept_) {
    if (loss <= worst_.back().loss) return;
    worst_.pop_back();
  }
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - static_cast<double>(*highest));
  const auto place = std::upper_bound(worst_.begin(), worst_.end(), loss,
                                      [](float value, const Answer& answer) { return value > answer.loss; });
  worst_.insert(place, {index, said, 1 / sum, loss});
}

std::string Predictions::confusion_csv() const {
  std::string text = "label";
  for (std::size_t said = 0; said < classes_; ++said) text += ',' + class_field(names_, said);
  text += '\n';
  for (std::size_t label = 0; label < classes_; ++label) {
    text += class_field(names_, label);
    for (std::size_t said = 0; said < classes_; ++said) {
      text += ',' + std::to_string(counts_[label * classes_ + said]);
    }
    text += '\n';
  }
  return text;
}

std::string Predictions::worst_csv() const {
  std::string text = "index,label,said,probability,loss,file\n";
  for (const Answer& answer : worst_) {
    text += fmt::format("{},{},{},{},{},{}\n", answer.index,
                        class_field(names_, static_cast<std::size_t>(pictures_.labels[answer.index])),
                        class_field(names_, answer.said), csv_number(answer.probability),
                        csv_number(static_cast<double>(answer.loss)), file_field(pictures_, answer.index));
  }
  return text;
}

std::string Predictions::worst_png() const {
  const auto bytes = static_cast<std::size_t>(pictures_.shape.elements());
  std::vector<std::uint8_t> tiles;
  for (const Answer& answer : worst_) {
    const auto picture = std::span(pictures_.pictures).subspan(answer.index * bytes, bytes);
    tiles.insert(tiles.end(), picture.begin(), picture.end());
  }
  return png_bytes(picture_sheet(tiles, pictures_.shape, sheet_columns));
}

PredictionRecorder::PredictionRecorder(std::filesystem::path folder, const DataSet& data)
    : folder_(std::move(folder)), predictions_(data.valid, data.classes) {}

void PredictionRecorder::before_epoch(FitState& state) {
  if (!state.training) predictions_.clear();
}

void PredictionRecorder::after_loss(FitState& state) {
  if (!state.training) predictions_.take(*state.plan, state.batch_indices);
}

void PredictionRecorder::after_epoch(FitState& state) {
  if (!state.training) predictions_.write(folder_);
}

}  // namespace descent
