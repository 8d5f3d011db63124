// From a picture file to a network's input, by one written rule:
// 8 bits a channel; transparency over white; grey networks take 0.299 R + 0.587 G + 0.114 B; a picture
// that already has the network's height and width is used as it is, any other is resized (Resize).
#pragma once

#include "descent/tensor.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace descent {

// Bytes, interleaved: height × width × channels.
struct Picture {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 0;  // 1, 2 (grey, alpha), 3 or 4
  std::vector<std::uint8_t> bytes;
};

enum class Resize : std::uint8_t {
  fit,       // shorter side fits (bilinear, antialiased), middle cropped
  squash,    // both sides fit, proportions lost
  imagenet,  // shorter side 256 (scaled with the input: side·256/224), middle cropped
};

struct PictureRule {
  Resize resize = Resize::fit;
  bool invert = false;  // 255 − v, for dark drawings on white
};

// Decodes JPEG, PNG or BMP: at most 64 MB and 64 Mpixel, checked before decoding.
// Throws Error naming the file.
[[nodiscard]] Picture read_picture(const std::filesystem::path& file);
[[nodiscard]] Picture decode_picture(std::span<const std::uint8_t> encoded, const std::string& source);
[[nodiscard]] bool looks_like_picture(const std::filesystem::path& file);  // by its ending

// Planar C×H×W bytes of the network's input shape (1 or 3 channels).
[[nodiscard]] std::vector<std::uint8_t> to_input(const Picture& picture, const Shape& input,
                                                 const PictureRule& rule);

}  // namespace descent
