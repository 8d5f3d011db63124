// Pictures as PNG files, and sheets of many small ones.
#pragma once

#include "descent/picture.h"
#include "descent/tensor.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace descent {

// A PNG file's content. 1 channel: grey; 3: RGB. Throws Error for any other number, or none or too few bytes.
[[nodiscard]] std::string png_bytes(const Picture& picture);

// How many of `most` tiles a sheet of some megapixels takes: one row at least.
[[nodiscard]] std::size_t tiles_of_sheet(const Shape& shape, std::int64_t columns, std::size_t most);

// Tiles of one shape (planar C×H×W, one after the other) in rows of `columns`, without a gap; black where no
// tile is left. 3 channels are red, green and blue; of any other number the first is shown in grey.
[[nodiscard]] Picture picture_sheet(std::span<const std::uint8_t> tiles, const Shape& shape,
                                    std::int64_t columns);

}  // namespace descent
