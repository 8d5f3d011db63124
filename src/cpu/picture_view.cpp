#include "cpu/picture_view.h"

namespace descent {

void copy_view(const std::uint8_t* from, const PictureView& view, const Shape& picture, std::uint8_t* to) {
  const Inside inside(view, picture);
  const std::int64_t width = picture[2];
  const std::int64_t count = inside.right - inside.left;
  // The first column that shows, in the picture itself; mirrored, the last.
  const std::int64_t first = inside.left - view.right;
  for (std::int64_t plane = 0; plane < picture.elements(); plane += picture[1] * width) {
    for (std::int64_t row = inside.top; row < inside.bottom; ++row) {
      const std::uint8_t* const line = from + plane + (row - view.down) * width;
      std::uint8_t* const there = to + plane + row * width + inside.left;
      if (view.mirrored) {
        std::reverse_copy(line + width - first - count, line + width - first, there);
      } else {
        std::copy_n(line + first, count, there);
      }
    }
  }
}

}  // namespace descent
