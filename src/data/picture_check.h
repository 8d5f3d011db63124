// What can be known of an encoded picture before it is decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace descent {

inline constexpr std::size_t most_picture_bytes = 64'000'000;
inline constexpr std::int64_t most_pixels = 64'000'000;
inline constexpr std::int64_t most_side = 65'535;

// Makes sure that `encoded` is a whole JPEG, PNG or BMP of an allowed size: the decoder itself fills
// what is missing with grey or zeros, verifies no checksum, and lets a small PNG inflate without end.
// Throws Error naming `source`.
void check_encoded(std::span<const std::uint8_t> encoded, const std::string& source);

// Throws Error if there is no pixel, or more than the limits above.
void check_dimensions(std::int64_t width, std::int64_t height, const std::string& source);

}  // namespace descent
