// What IDX files are called, as they are distributed and as others have renamed and packed them.
#pragma once

#include <filesystem>
#include <string_view>

namespace descent {

// "train-images" and "idx3" → the file in `folder` under any of its spellings; empty if there is none.
[[nodiscard]] std::filesystem::path idx_file(const std::filesystem::path& folder, std::string_view stem,
                                             std::string_view type);

}  // namespace descent
