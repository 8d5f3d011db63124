// Augmentation: training pictures that look a little different in every epoch.
#pragma once

#include "descent/device.h"
#include "descent/tensor.h"

#include <cstdint>
#include <vector>

namespace descent {

struct Augmentation {
  bool flip = false;       // half of the pictures are mirrored
  std::int64_t shift = 0;  // pixels: each moves down and right by −shift … shift, every number as likely

  [[nodiscard]] bool any() const { return flip || shift > 0; }
  friend bool operator==(const Augmentation&, const Augmentation&) = default;
};

// Throws Error unless something of pictures of that shape (C×H×W) stays in view.
void check_augmentation(const Augmentation& augmentation, const Shape& picture);

// How the pictures in positions [first, first + count) of an epoch's order are seen; nothing if there is no
// augmentation. Draws depend on seed, epoch and position alone, whatever the batch and the device.
[[nodiscard]] std::vector<PictureView> augmented_views(const Augmentation& augmentation, std::uint64_t seed,
                                                       std::uint32_t epoch, std::uint64_t first,
                                                       std::size_t count);

}  // namespace descent
