// What a class is called in the files of a run folder.
#pragma once

#include "base/csv.h"

#include <cstddef>
#include <string>
#include <vector>

namespace descent {

// As a field of a CSV file; its number where the classes have no names.
[[nodiscard]] inline std::string class_field(const std::vector<std::string>& classes, std::size_t index) {
  return index < classes.size() ? csv_field(classes[index]) : std::to_string(index);
}

}  // namespace descent
