// Data sets that are folders of pictures, one sub-folder a class.
#pragma once

#include "descent/data.h"

#include <cstdint>
#include <filesystem>

namespace descent {

// Throws Error if the pictures would take more than `most_bytes` as inputs.
[[nodiscard]] DataSet load_picture_folder(const std::filesystem::path& folder, const Shape& input,
                                          std::uint64_t most_bytes);

}  // namespace descent
