#include "descent/data.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace descent {

namespace {

std::string folder_of(std::string name) {
  std::ranges::replace(name, '/', '-');
  return name;
}

bool are_numbers(std::span<const std::string> classes) {
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] != std::to_string(i)) return false;
  }
  return true;
}

}  // namespace

ClassMatch match_classes(DataSet& data, std::span<const std::string> names, std::size_t count) {
  if (data.classes.size() > count) {
    throw Error(
        fmt::format("the data set '{}' has {} classes, the model {}", data.name, data.classes.size(), count));
  }
  if (names.empty()) return ClassMatch::by_name;
  std::vector<std::int32_t> in_the_model;
  for (const std::string& name : data.classes) {
    const auto found = std::ranges::find(names, folder_of(name), folder_of);
    if (found == names.end() && are_numbers(data.classes)) return ClassMatch::by_number;
    if (found == names.end()) {
      throw Error(fmt::format("the model has no class '{}', which '{}' has: its classes are {}", name,
                              data.name, fmt::join(names, ", ")));
    }
    in_the_model.push_back(static_cast<std::int32_t>(found - names.begin()));
  }
  for (PictureSet* part : {&data.train, &data.valid}) {
    for (std::int32_t& label : part->labels) label = in_the_model[static_cast<std::size_t>(label)];
  }
  return ClassMatch::by_name;
}

}  // namespace descent
