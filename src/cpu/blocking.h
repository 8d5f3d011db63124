// One view of all layouts: a tensor is pictures × groups × cells × inner, where channel = group·inner + i.
// Plain has one channel inner, channels-last all of them, the blocked layouts 8 or 16. Where pictures are
// innermost, those of a vector count as so many channels: right for all that treats channels alike.
#pragma once

#include "cpu/lanes.h"
#include "cpu/layouts.h"

#include <cstdint>

namespace descent {

struct Blocking {
  std::int64_t pictures = 1;
  std::int64_t groups = 1;
  std::int64_t height = 1;
  std::int64_t width = 1;
  std::int64_t inner = 1;

  // N×C counts as N×C×1×1.
  Blocking(const Shape& shape, Layout layout) : pictures(shape[0]) {
    const std::int64_t channels = shape[1];
    if (shape.rank() == 4) {
      height = shape[2];
      width = shape[3];
    }
    if (layout == nhwc) {
      inner = channels;
    } else if (layout == nchw8c) {
      inner = 8;
    } else if (layout == nchw16c) {
      inner = 16;
    }
    groups = channels / inner;
    if (has_pictures_innermost(layout)) {
      inner = lanes_in(layout);
      pictures /= inner;
    }
  }

  // With one cell a channel every layout has the same order: the view with all channels inner then
  // gives loops along `inner` more to do at once.
  [[nodiscard]] Blocking with_widest_inner() const {
    Blocking wide = *this;
    if (cells() == 1) {
      wide.inner = channels();
      wide.groups = 1;
    }
    return wide;
  }

  // With the pictures of a vector as cells: a group is then one channel.
  [[nodiscard]] Blocking with_lanes_as_cells(Layout layout) const {
    Blocking flat = *this;
    if (has_pictures_innermost(layout)) {
      flat.width *= lanes_in(layout);
      flat.inner = 1;
    }
    return flat;
  }

  // Pictures of a vector, where they are innermost.
  [[nodiscard]] static std::int64_t lanes_in(Layout layout) { return layout == n16chw ? lanes : bf16_lanes; }

  [[nodiscard]] std::int64_t cells() const { return height * width; }
  [[nodiscard]] std::int64_t channels() const { return groups * inner; }
  [[nodiscard]] std::int64_t slices() const { return pictures * groups; }  // each cells·inner elements
};

}  // namespace descent
