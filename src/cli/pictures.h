// The pictures that a command line names: files, folders and IDX files.
#pragma once

#include "descent/data.h"
#include "descent/picture.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace descent::cli {

// One picture to be answered; decoded only when its turn comes.
struct PictureItem {
  std::string name;                       // the path, or "file#index" in an IDX file
  std::shared_ptr<const PictureSet> set;  // null: a picture file
  std::size_t index = 0;                  // in the set
  std::string problem;                    // not empty: why it cannot be read

  // The network's input bytes. Throws Error.
  [[nodiscard]] std::vector<std::uint8_t> input(const Shape& shape, const PictureRule& rule) const;
};

// In the order given; the pictures of a folder and its sub-folders by path. What cannot be read
// becomes an item with a problem, so that the others are still answered.
[[nodiscard]] std::vector<PictureItem> list_pictures(const std::vector<std::string>& arguments);

}  // namespace descent::cli
