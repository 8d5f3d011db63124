// batch.csv and batch.png of a run folder: the first training batch as the network saw it.
#pragma once

#include "descent/data.h"
#include "descent/train.h"

#include <filesystem>

namespace descent {

// The first pictures of a fit's first training batch, 64 or fewer large ones: what they are, and the network's
// inputs, of which the batch's lowest value is black and its highest white.
class BatchSheet : public Observer {
 public:
  static constexpr std::size_t most_pictures = 64;
  static constexpr std::int64_t sheet_columns = 8;

  // `data` must outlive the sheet and be what the fit reads.
  BatchSheet(std::filesystem::path folder, const DataSet& data);

  void before_fit(FitState& state) override;
  void after_loss(FitState& state) override;

 private:
  std::filesystem::path folder_;
  const DataSet& data_;
  bool written_ = false;
};

}  // namespace descent
