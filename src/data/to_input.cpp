#include "data/resample.h"
#include "descent/error.h"
#include "descent/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace descent {

namespace {

// value over white, of opacity alpha/255, rounded
std::uint32_t over_white(std::uint32_t value, std::uint32_t alpha) {
  return (value * alpha + 255U * (255U - alpha) + 127U) / 255U;
}

// 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point, rounded; the weights sum to 1 exactly
std::uint8_t grey_of(std::uint32_t red, std::uint32_t green, std::uint32_t blue) {
  return static_cast<std::uint8_t>((red * 19595U + green * 38470U + blue * 7471U + 32768U) >> 16U);
}

using Plane = std::vector<std::uint8_t>;

// Opaque planes of one or three channels, of the picture's own size.
std::vector<Plane> planes_of(const Picture& picture, std::size_t wanted) {
  const auto pixels = static_cast<std::size_t>(picture.height * picture.width);
  const auto channels = static_cast<std::size_t>(picture.channels);
  const bool has_alpha = channels == 2 || channels == 4;
  const std::size_t colours = channels - (has_alpha ? 1 : 0);  // 1 or 3
  std::vector<Plane> planes(wanted, Plane(pixels));
  const std::uint8_t* pixel = picture.bytes.data();
  for (std::size_t i = 0; i < pixels; ++i, pixel += channels) {
    std::array<std::uint32_t, 3> colour{};
    for (std::size_t c = 0; c < 3; ++c) {
      const std::uint32_t value = pixel[colours == 3 ? c : 0];
      colour[c] = has_alpha ? over_white(value, pixel[colours]) : value;
    }
    if (wanted == 1) {
      planes[0][i] = grey_of(colour[0], colour[1], colour[2]);
    } else {
      for (std::size_t c = 0; c < 3; ++c) planes[c][i] = static_cast<std::uint8_t>(colour[c]);
    }
  }
  return planes;
}

struct Placement {
  ResizedAxis height;
  ResizedAxis width;
};

// The middle of `size` cells; a half goes to the even neighbour.
std::int64_t middle(std::int64_t size, std::int64_t crop) {
  return std::lrint(static_cast<double>(size - crop) / 2.0);
}

// The picture scaled, proportions kept, until it just covers cover_height × cover_width; then the middle
// height × width of it.
Placement cover_and_crop(const Picture& picture, std::int64_t cover_height, std::int64_t cover_width,
                         std::int64_t height, std::int64_t width) {
  std::int64_t to_height = cover_height;
  std::int64_t to_width = cover_width;
  if (cover_height * picture.width >= cover_width * picture.height) {
    to_width = cover_height * picture.width / picture.height;
  } else {
    to_height = cover_width * picture.height / picture.width;
  }
  return {{picture.height, to_height, middle(to_height, height), height},
          {picture.width, to_width, middle(to_width, width), width}};
}

Placement place(const Picture& picture, std::int64_t height, std::int64_t width, Resize resize) {
  if (resize == Resize::squash) {
    return {{picture.height, height, 0, height}, {picture.width, width, 0, width}};
  }
  if (resize == Resize::imagenet) {
    const auto larger = [](std::int64_t side) { return (side * 256 + 112) / 224; };  // rounded
    return cover_and_crop(picture, larger(height), larger(width), height, width);
  }
  return cover_and_crop(picture, height, width, height, width);
}

void check(const Picture& picture, const Shape& input) {
  if (input.rank() != 3 || (input[0] != 1 && input[0] != 3) || input[1] <= 0 || input[2] <= 0) {
    throw Error(
        fmt::format("pictures become inputs of 1×H×W or 3×H×W; the network takes {}", to_string(input)));
  }
  if (picture.channels < 1 || picture.channels > 4 || picture.height <= 0 || picture.width <= 0 ||
      picture.bytes.size() != static_cast<std::size_t>(picture.height * picture.width * picture.channels)) {
    throw Error(fmt::format("a picture of {}×{} with {} channels cannot have {} bytes", picture.height,
                            picture.width, picture.channels, picture.bytes.size()));
  }
}

}  // namespace

std::vector<std::uint8_t> to_input(const Picture& picture, const Shape& input, const PictureRule& rule) {
  check(picture, input);
  const std::int64_t height = input[1];
  const std::int64_t width = input[2];
  std::vector<Plane> planes = planes_of(picture, static_cast<std::size_t>(input[0]));
  if (picture.height != height || picture.width != width) {
    const Placement placement = place(picture, height, width, rule.resize);
    for (Plane& plane : planes) plane = resample(plane, placement.height, placement.width);
  }
  std::vector<std::uint8_t> result;
  result.reserve(static_cast<std::size_t>(input.elements()));
  for (const Plane& plane : planes) result.insert(result.end(), plane.begin(), plane.end());
  if (rule.invert) {
    for (std::uint8_t& value : result) value = static_cast<std::uint8_t>(255 - value);
  }
  return result;
}

}  // namespace descent
