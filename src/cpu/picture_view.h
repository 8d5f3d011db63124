// Pictures as a batch sees them (PictureView): mirrored and moved.
#pragma once

#include "descent/device.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace descent {

// What of a moved picture lies within its frame: rows and columns [begin, end).
struct Inside {
  std::int64_t top, bottom, left, right;

  Inside(const PictureView& view, const Shape& picture)
      : top(std::clamp<std::int64_t>(view.down, 0, picture[1])),
        bottom(std::clamp<std::int64_t>(picture[1] + view.down, top, picture[1])),
        left(std::clamp<std::int64_t>(view.right, 0, picture[2])),
        right(std::clamp<std::int64_t>(picture[2] + view.right, left, picture[2])) {}
};

// One picture of C×H×W bytes as the view shows it; what lies outside of it is left as it was.
void copy_view(const std::uint8_t* from, const PictureView& view, const Shape& picture, std::uint8_t* to);

// Zero where nothing of the picture shows; from one pixel to the next `step` elements.
template <class Element>
void blank_outside(const PictureView& view, const Shape& picture, Element* to, std::size_t step) {
  const Inside inside(view, picture);
  const std::int64_t width = picture[2];
  const auto blank = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[static_cast<std::size_t>(i) * step] = Element{};
  };
  for (std::int64_t plane = 0; plane < picture.elements(); plane += picture[1] * width) {
    blank(plane, plane + inside.top * width);
    for (std::int64_t row = inside.top; row < inside.bottom; ++row) {
      blank(plane + row * width, plane + row * width + inside.left);
      blank(plane + row * width + inside.right, plane + (row + 1) * width);
    }
    blank(plane + inside.bottom * width, plane + picture[1] * width);
  }
}

}  // namespace descent
