// One pixel of a picture as a batch sees it.
#pragma once

#include "descent/device.h"

#include <cstdint>

namespace descent::reference {

// Normalised, in a row and column of the view.
[[nodiscard]] inline double seen_pixel(const PictureSource& source, std::uint32_t picture,
                                       const PictureView& view, std::int64_t channel, std::int64_t row,
                                       std::int64_t column) {
  const std::int64_t height = source.shape[1];
  const std::int64_t width = source.shape[2];
  const std::int64_t from_row = row - view.down;
  const std::int64_t moved = column - view.right;
  if (from_row < 0 || from_row >= height || moved < 0 || moved >= width) return 0;
  const std::int64_t from_column = view.mirrored ? width - 1 - moved : moved;
  const std::int64_t at = ((picture * source.shape[0] + channel) * height + from_row) * width + from_column;
  const auto c = static_cast<std::size_t>(channel);
  return (source.pictures[static_cast<std::size_t>(at)] / 255.0 - source.normalisation->mean[c]) /
         source.normalisation->std[c];
}

}  // namespace descent::reference
