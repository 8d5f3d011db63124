#include "plan/load_check.h"

#include "descent/error.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace descent {

void check_batch(const PictureSource& source, const PictureBatch& batch, const Tensor& input,
                 const Tensor* targets) {
  const std::span<const std::uint32_t> indices = batch.indices;
  if (!batch.views.empty() && batch.views.size() != indices.size()) {
    throw Error("a batch of " + std::to_string(indices.size()) + " pictures was given " +
                    std::to_string(batch.views.size()) + " views",
                Fault::failure);
  }
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

}  // namespace descent
