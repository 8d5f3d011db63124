#include "train/batch_sheet.h"

#include "base/files.h"
#include "data/class_name.h"
#include "data/write_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace descent {

namespace {

// The first `count` values; the lowest of all becomes 0, the highest 255.
std::vector<std::uint8_t> as_bytes(std::span<const float> values, std::size_t count) {
  const auto [lowest, highest] = std::minmax_element(values.begin(), values.end());
  const float scale = *highest > *lowest ? 255.0F / (*highest - *lowest) : 0.0F;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(count);
  for (const float value : values.first(count)) {
    bytes.push_back(static_cast<std::uint8_t>(std::lround((value - *lowest) * scale)));
  }
  return bytes;
}

}  // namespace

BatchSheet::BatchSheet(std::filesystem::path folder, const DataSet& data)
    : folder_(std::move(folder)), data_(data) {}

void BatchSheet::before_fit(FitState& /*state*/) {
  written_ = false;
}

void BatchSheet::after_loss(FitState& state) {
  if (!state.training || written_) return;
  written_ = true;
  const Shape& shape = data_.train.shape;
  const auto elements = static_cast<std::size_t>(shape.elements());
  const std::size_t count = std::min(state.batch_indices.size(), most_pictures);
  std::vector<float> inputs(state.batch_indices.size() * elements);
  state.plan->read(Plan::Port::input, inputs);
  write_file_atomically(folder_ / "batch.png",
                        png_bytes(picture_sheet(as_bytes(inputs, count * elements), shape, sheet_columns)));

  std::string rows = "position,index,label\n";
  for (std::size_t position = 0; position < count; ++position) {
    const std::uint32_t index = state.batch_indices[position];
    const auto label = static_cast<std::size_t>(data_.train.labels[index]);
    rows += fmt::format("{},{},{}\n", position, index, class_field(data_.classes, label));
  }
  write_file_atomically(folder_ / "batch.csv", rows);
}

}  // namespace descent
