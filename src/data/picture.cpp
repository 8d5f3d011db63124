// The only file that knows the decoder.
#include "descent/picture.h"

#include "base/files.h"
#include "data/picture_check.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace {

// The largest picture takes 64 million pixels × 4 channels × 2 bytes; whoever asks the decoder for more
// has damaged a length.
constexpr std::size_t most_decoder_bytes = 600'000'000;

void* decoder_allocate(std::size_t bytes) {
  return bytes <= most_decoder_bytes ? std::malloc(bytes) : nullptr;
}
void* decoder_reallocate(void* memory, std::size_t bytes) {
  return bytes <= most_decoder_bytes ? std::realloc(memory, bytes) : nullptr;
}

}  // namespace

#define STBI_MALLOC(bytes) decoder_allocate(bytes)
#define STBI_REALLOC(memory, bytes) decoder_reallocate(memory, bytes)
#define STBI_FREE(memory) std::free(memory)
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 65535  // most_side
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

namespace descent {

Picture decode_picture(std::span<const std::uint8_t> encoded, const std::string& source) {
  check_encoded(encoded, source);
  const auto size = static_cast<int>(encoded.size());
  int width = 0;
  int height = 0;
  int channels = 0;
  const auto fail = [&source] {
    throw Error(fmt::format("'{}' cannot be decoded: {}", source, stbi_failure_reason()));
  };
  if (stbi_info_from_memory(encoded.data(), size, &width, &height, &channels) == 0) fail();
  check_dimensions(width, height, source);
  const std::unique_ptr<stbi_uc, decltype(&std::free)> pixels(
      stbi_load_from_memory(encoded.data(), size, &width, &height, &channels, 0), &std::free);
  if (pixels == nullptr) fail();

  Picture picture{.height = height, .width = width, .channels = channels, .bytes = {}};
  picture.bytes.assign(pixels.get(), pixels.get() + picture.height * picture.width * picture.channels);
  return picture;
}

Picture read_picture(const std::filesystem::path& file) {
  const std::string content = read_file(file, most_picture_bytes);
  return decode_picture({reinterpret_cast<const std::uint8_t*>(content.data()), content.size()}, file.string());
}

bool looks_like_picture(const std::filesystem::path& file) {
  constexpr std::array<std::string_view, 4> endings{".jpg", ".jpeg", ".png", ".bmp"};
  return std::ranges::find(endings, lower_case_ending(file)) != endings.end();
}

}  // namespace descent
