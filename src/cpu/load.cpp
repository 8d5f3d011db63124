#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "descent/error.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace descent {
namespace {

constexpr std::size_t byte_values = 256;

// Every normalised value that a byte of one channel can have.
std::array<float, byte_values> table_of(float mean, float std) {
  std::array<float, byte_values> table{};
  for (std::size_t value = 0; value < byte_values; ++value) {
    table[value] = (static_cast<float>(value) / 255.0F - mean) / std;
  }
  return table;
}

void check(const PictureSource& source, std::span<const std::uint32_t> indices, const Tensor& input,
           const Tensor* targets) {
  const auto per_picture = static_cast<std::size_t>(source.shape.elements());
  const std::size_t count = source.pictures.size() / per_picture;
  if (input.desc.shape != source.shape.with_batch(static_cast<std::int64_t>(indices.size()))) {
    throw Error("a batch of " + std::to_string(indices.size()) + " pictures of " + to_string(source.shape) +
                " does not fit an input of " + to_string(input.desc.shape));
  }
  const std::int64_t classes = targets == nullptr ? 0 : targets->desc.shape[1];
  for (const std::uint32_t index : indices) {
    if (index >= count) {
      throw Error("there is no picture " + std::to_string(index) + " among " + std::to_string(count));
    }
    if (targets == nullptr) continue;
    if (index >= source.labels.size()) throw Error("picture " + std::to_string(index) + " has no label");
    const std::int32_t label = source.labels[index];
    if (label < 0 || label >= classes) {
      throw Error("picture " + std::to_string(index) + " has the label " + std::to_string(label) +
                  ", but the model tells apart " + std::to_string(classes) + " classes (0 to " +
                  std::to_string(classes - 1) + ")");
    }
  }
}

}  // namespace

void load_pictures(const CpuContext& context, const PictureSource& source,
                   std::span<const std::uint32_t> indices, const Tensor& input, const Tensor* targets) {
  check(source, indices, input, targets);
  const auto channels = static_cast<std::size_t>(source.shape[0]);
  const auto per_picture = static_cast<std::size_t>(source.shape.elements());
  const std::size_t plane = per_picture / channels;
  std::vector<std::array<float, byte_values>> tables(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const Normalisation* const normalisation = source.normalisation;
    tables[c] =
        normalisation == nullptr ? table_of(0, 1) : table_of(normalisation->mean[c], normalisation->std[c]);
  }
  auto* const values = static_cast<float*>(input.data);
  auto* const rows = targets == nullptr ? nullptr : static_cast<float*>(targets->data);
  const std::size_t classes = targets == nullptr ? 0 : static_cast<std::size_t>(targets->desc.shape[1]);
  const auto grain = static_cast<std::int64_t>(std::max<std::size_t>(1, 4096 / per_picture));

  const auto load = [&](std::int64_t begin, std::int64_t end) {
    for (auto n = static_cast<std::size_t>(begin); n < static_cast<std::size_t>(end); ++n) {
      const std::uint8_t* from = source.pictures.data() + indices[n] * per_picture;
      float* to = values + n * per_picture;
      for (const std::array<float, byte_values>& table : tables) {
        for (std::size_t i = 0; i < plane; ++i) to[i] = table[from[i]];
        from += plane;
        to += plane;
      }
      if (rows == nullptr) continue;
      std::fill_n(rows + n * classes, classes, 0.0F);
      rows[n * classes + static_cast<std::size_t>(source.labels[indices[n]])] = 1.0F;
    }
  };
  parallel_for(context.threads, static_cast<std::int64_t>(indices.size()), grain, load);
}

}  // namespace descent
