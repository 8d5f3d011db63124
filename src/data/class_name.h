// What classes and pictures are called in the files of a run folder.
#pragma once

#include "base/csv.h"
#include "descent/data.h"

#include <cstddef>
#include <string>
#include <vector>

namespace descent {

// As a field of a CSV file; its number where the classes have no names.
[[nodiscard]] inline std::string class_field(const std::vector<std::string>& classes, std::size_t index) {
  return index < classes.size() ? csv_field(classes[index]) : std::to_string(index);
}

// The picture's file as a field; empty where it has none of its own.
[[nodiscard]] inline std::string file_field(const PictureSet& set, std::size_t index) {
  return index < set.files.size() ? csv_field(set.files[index]) : std::string();
}

}  // namespace descent
