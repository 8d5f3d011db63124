// The only file that knows the encoder.
#include "data/write_picture.h"

#include "descent/error.h"

#include <fmt/format.h>

#include <cstddef>
#include <limits>

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>

namespace descent {

namespace {

void append(void* text, void* bytes, int count) {
  static_cast<std::string*>(text)->append(static_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

}  // namespace

std::string png_bytes(const Picture& picture) {
  constexpr std::int64_t most_bytes = std::numeric_limits<int>::max() / 4;  // the encoder counts in int
  const auto& [height, width, channels, bytes] = picture;
  const bool grey_or_rgb = channels == 1 || channels == 3;
  if (!grey_or_rgb || height <= 0 || width <= 0 || height > most_bytes / channels / width ||
      bytes.size() != static_cast<std::size_t>(height * width * channels)) {
    throw Error(fmt::format("a picture of {}×{} pixels, {} channels and {} bytes cannot be written as PNG",
                            height, width, channels, bytes.size()),
                Fault::failure);
  }
  std::string png;
  if (stbi_write_png_to_func(&append, &png, static_cast<int>(width), static_cast<int>(height),
                             static_cast<int>(channels), bytes.data(),
                             static_cast<int>(width * channels)) == 0) {
    throw Error("a picture cannot be written as PNG: out of memory", Fault::failure);
  }
  return png;
}

std::size_t tiles_of_sheet(const Shape& shape, std::int64_t columns, std::size_t most) {
  constexpr std::int64_t pixels = 8'000'000;
  const std::int64_t rows = std::max<std::int64_t>(pixels / (columns * shape[1] * shape[2]), 1);
  return std::min(most, static_cast<std::size_t>(rows * columns));
}

Picture picture_sheet(std::span<const std::uint8_t> tiles, const Shape& shape, std::int64_t columns) {
  const std::int64_t height = shape[1];
  const std::int64_t width = shape[2];
  const std::int64_t plane = height * width;
  const auto count = static_cast<std::int64_t>(tiles.size()) / shape.elements();
  const std::int64_t rows = (count + columns - 1) / columns;
  const std::int64_t channels = shape[0] == 3 ? 3 : 1;

  Picture sheet{.height = rows * height, .width = columns * width, .channels = channels, .bytes = {}};
  sheet.bytes.resize(static_cast<std::size_t>(sheet.height * sheet.width * channels));
  for (std::int64_t tile = 0; tile < count; ++tile) {
    const std::int64_t top = tile / columns * height;
    const std::int64_t left = tile % columns * width;
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      const std::int64_t from = tile * shape.elements() + channel * plane;
      for (std::int64_t pixel = 0; pixel < plane; ++pixel) {
        const std::int64_t y = top + pixel / width;
        const std::int64_t x = left + pixel % width;
        sheet.bytes[static_cast<std::size_t>((y * sheet.width + x) * channels + channel)] =
            tiles[static_cast<std::size_t>(from + pixel)];
      }
    }
  }
  return sheet;
}

}  // namespace descent
