// The last layers of a network, whose shapes depend on the number of classes.
#include "descent/weights.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace descent {

namespace {

// Only weights of convolutions and linear layers have more than one dimension.
std::size_t head_begin(const ParameterLayout& layout) {
  std::size_t layer = 0;
  for (const ParameterEntry& entry : layout.trained) {
    if (entry.shape.rank() > 1) layer = entry.layer;
  }
  return layer;
}

bool differs_in_classes(const FileTensor& there, const FileTensor& here) {
  return !here.shape.empty() && there.shape.size() == here.shape.size() && there.shape[0] != here.shape[0] &&
         std::equal(there.shape.begin() + 1, there.shape.end(), here.shape.begin() + 1);
}

}  // namespace

std::vector<std::string> replace_head(SafetensorsFile& content, const ParameterLayout& layout,
                                      const HostParameters& drawn) {
  const std::size_t begin = head_begin(layout);
  std::set<std::string_view> head;
  for (const auto* entries : {&layout.trained, &layout.statistics, &layout.counters}) {
    for (const ParameterEntry& entry : *entries) {
      if (entry.layer >= begin) head.insert(entry.name);
    }
  }
  struct Replacement {
    FileTensor* there;
    FileTensor here;
  };
  std::vector<Replacement> replacements;
  for (FileTensor& here : tensors_from(drawn, layout)) {
    const auto there = std::ranges::find(content.tensors, here.name, &FileTensor::name);
    if (head.contains(here.name) && there != content.tensors.end())
      replacements.push_back({&*there, std::move(here)});
  }
  std::vector<std::string> names;
  if (std::ranges::none_of(replacements,
                           [](const Replacement& one) { return differs_in_classes(*one.there, one.here); })) {
    return names;
  }
  for (Replacement& one : replacements) {
    names.push_back(one.here.name);
    *one.there = std::move(one.here);
  }
  return names;
}

}  // namespace descent
