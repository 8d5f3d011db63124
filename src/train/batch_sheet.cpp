#include "train/batch_sheet.h"

#include "base/files.h"
#include "data/class_name.h"
#include "data/write_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace descent {

namespace {

struct Bounds {
  float lowest = std::numeric_limits<float>::infinity();
  float highest = -std::numeric_limits<float>::infinity();

  void include(std::span<const float> values) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    lowest = std::min(lowest, *low);
    highest = std::max(highest, *high);
  }
};

// The lowest becomes 0, the highest 255.
std::vector<std::uint8_t> as_bytes(std::span<const float> values, const Bounds& bounds) {
  const float scale = bounds.highest > bounds.lowest ? 255.0F / (bounds.highest - bounds.lowest) : 0.0F;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(values.size());
  for (const float value : values) {
    bytes.push_back(static_cast<std::uint8_t>(std::lround((value - bounds.lowest) * scale)));
  }
  return bytes;
}

}  // namespace

BatchSheet::BatchSheet(std::filesystem::path folder, const DataSet& data)
    : folder_(std::move(folder)), data_(data) {}

void BatchSheet::before_fit(FitState& state) {
  written_ = state.step > 0;  // a fit that is taken up has shown its first batch
}

void BatchSheet::after_loss(FitState& state) {
  if (!state.training || written_) return;
  written_ = true;
  const Shape& shape = data_.train.shape;
  const auto elements = static_cast<std::size_t>(shape.elements());
  const std::size_t count =
      std::min(state.batch_indices.size(), tiles_of_sheet(shape, sheet_columns, most_pictures));
  // In pieces: a copy of the whole batch would be the moment of most memory in a run.
  std::vector<float> inputs(count * elements);
  std::vector<float> others(count * elements);
  Bounds bounds;
  for (std::size_t first = 0; first < state.batch_indices.size(); first += count) {
    const std::size_t pictures = std::min(count, state.batch_indices.size() - first);
    const std::span<float> piece = std::span(first == 0 ? inputs : others).first(pictures * elements);
    state.plan->read(Plan::Port::input, static_cast<std::int64_t>(first * elements), piece);
    bounds.include(piece);
  }
  write_file_atomically(folder_ / "batch.png",
                        png_bytes(picture_sheet(as_bytes(inputs, bounds), shape, sheet_columns)));

  std::string rows = "position,index,label,file\n";
  for (std::size_t position = 0; position < count; ++position) {
    const std::uint32_t index = state.batch_indices[position];
    const auto label = static_cast<std::size_t>(data_.train.labels[index]);
    rows += fmt::format("{},{},{},{}\n", position, index, class_field(data_.classes, label),
                        file_field(data_.train, index));
  }
  write_file_atomically(folder_ / "batch.csv", rows);
}

}  // namespace descent
