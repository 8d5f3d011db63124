// What a network says to the validation pictures: confusion.csv, worst.csv and worst.png of a folder.
#pragma once

#include "descent/data.h"
#include "descent/train.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace descent {

// How often each class was taken for which, and the pictures of highest loss.
class Predictions {
 public:
  static constexpr std::size_t most_worst = 24;
  static constexpr std::int64_t sheet_columns = 6;

  // Both must outlive it.
  Predictions(const PictureSet& pictures, const std::vector<std::string>& classes);

  // What a plan with a loss has just said to those of the pictures.
  void take(Plan& plan, std::span<const std::uint32_t> indices);
  void clear();
  void write(const std::filesystem::path& folder) const;

 private:
  struct Answer {
    std::uint32_t index = 0;
    std::size_t said = 0;
    double probability = 0;  // of what was said
    float loss = 0;
  };

  void take_one(std::uint32_t index, std::span<const float> logits, float loss);
  [[nodiscard]] std::string confusion_csv() const;
  [[nodiscard]] std::string worst_csv() const;
  [[nodiscard]] std::string worst_png() const;

  const PictureSet& pictures_;
  const std::vector<std::string>& names_;
  std::size_t kept_;  // answers of highest loss
  std::size_t classes_ = 0;
  std::vector<std::int64_t> counts_;  // classes × classes: label, said
  std::vector<Answer> worst_;         // highest loss first; of equal ones the first picture
  std::vector<float> outputs_;
  std::vector<float> loss_rows_;
};

// Those of a fit's last validation.
class PredictionRecorder : public Observer {
 public:
  // `data` must outlive the recorder and be what the fit reads.
  PredictionRecorder(std::filesystem::path folder, const DataSet& data);

  void before_epoch(FitState& state) override;
  void after_loss(FitState& state) override;
  void after_epoch(FitState& state) override;

 private:
  std::filesystem::path folder_;
  Predictions predictions_;
};

}  // namespace descent
