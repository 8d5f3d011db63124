// Bilinear resizing that averages when it shrinks ("antialiased"): each output pixel is the mean of the
// input under a triangle whose half width is one output pixel (at least one input pixel).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace descent {

// One axis: `from` input pixels become `to`, of which only [begin, begin + count) are computed.
struct ResizedAxis {
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::int64_t begin = 0;
  std::int64_t count = 0;
};

// `plane` is height.from × width.from; the result height.count × width.count. First along rows, then
// along columns, rounded to 8 bits each time, in fixed point: the same bytes on every machine.
[[nodiscard]] std::vector<std::uint8_t> resample(std::span<const std::uint8_t> plane, const ResizedAxis& height,
                                                 const ResizedAxis& width);

}  // namespace descent
