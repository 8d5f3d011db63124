// The last layers of a network, whose shapes depend on the number of classes.
#include "descent/weights.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

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

bool differs_in_classes(const FileTensor& there, const Shape& here) {
  const auto wanted = here.dimensions();
  return !wanted.empty() && there.shape.size() == wanted.size() && there.shape[0] != wanted[0] &&
         std::equal(there.shape.begin() + 1, there.shape.end(), wanted.begin() + 1);
}

}  // namespace

std::vector<std::string> replace_head(SafetensorsFile& content, const ParameterLayout& layout,
                                      const std::function<HostParameters()>& draw) {
  const std::size_t begin = head_begin(layout);
  std::map<std::string_view, FileTensor*> head;  // of the file
  bool other_classes = false;
  for (const auto* entries : {&layout.trained, &layout.statistics, &layout.counters}) {
    for (const ParameterEntry& entry : *entries) {
      const auto there = std::ranges::find(content.tensors, entry.name, &FileTensor::name);
      if (entry.layer < begin || there == content.tensors.end()) continue;
      head.emplace(entry.name, &*there);
      other_classes = other_classes || differs_in_classes(*there, entry.shape);
    }
  }
  std::vector<std::string> names;
  if (!other_classes) return names;
  for (FileTensor& here : tensors_from(draw(), layout)) {
    const auto there = head.find(here.name);
    if (there == head.end()) continue;
    names.push_back(here.name);
    *there->second = std::move(here);
  }
  return names;
}

}  // namespace descent
