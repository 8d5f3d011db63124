// Small input files, made byte by byte.
#pragma once

#include "temporary_folder.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

// A 24-bit BMP of one grey value a pixel.
inline std::string bmp_file(std::int32_t height, std::int32_t width,
                            const std::function<std::uint8_t(std::int32_t, std::int32_t)>& grey) {
  const auto row_bytes = static_cast<std::uint32_t>((width * 3 + 3) / 4 * 4);
  const std::uint32_t data_bytes = row_bytes * static_cast<std::uint32_t>(height);
  std::string file = "BM";
  const auto append = [&file](std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) file += static_cast<char>((value >> (8 * i)) & 0xffU);
  };
  append(54 + data_bytes, 4);
  append(0, 4);
  append(54, 4);
  append(40, 4);
  append(static_cast<std::uint32_t>(width), 4);
  append(static_cast<std::uint32_t>(height), 4);
  append(1, 2);
  append(24, 2);
  for (const std::uint32_t value : {0U, data_bytes, 2835U, 2835U, 0U, 0U}) append(value, 4);
  for (std::int32_t y = height - 1; y >= 0; --y) {
    const std::size_t begin = file.size();
    for (std::int32_t x = 0; x < width; ++x) file.append(3, static_cast<char>(grey(y, x)));
    file.resize(begin + row_bytes, '\0');
  }
  return file;
}

// An IDX file of unsigned bytes.
inline std::string idx_file(const std::vector<std::uint32_t>& sizes, const std::string& bytes) {
  std::string file{'\0', '\0', '\x08', static_cast<char>(sizes.size())};
  for (const std::uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) file += static_cast<char>((size >> shift) & 0xffU);
  }
  return file + bytes;
}
