// Between a file's tensors and a network's flat buffers.
#include "base/names.h"
#include "descent/error.h"
#include "descent/weights.h"
#include "weights/convert.h"
#include "weights/header.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace descent {

namespace {

std::string shape_text(std::span<const std::int64_t> shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (const std::int64_t dimension : shape) text += (text.empty() ? "" : "×") + std::to_string(dimension);
  return text;
}

std::set<std::string_view> names_of(const ParameterLayout& layout) {
  std::set<std::string_view> names;
  for (const auto* entries : {&layout.trained, &layout.statistics, &layout.counters}) {
    for (const ParameterEntry& entry : *entries) names.insert(entry.name);
  }
  return names;
}

// The file's tensors by name; each is taken once, what is left over is unexpected.
class TensorIndex {
 public:
  TensorIndex(const SafetensorsFile& content, const std::string& source) : source_(source) {
    for (const FileTensor& tensor : content.tensors) tensors_.emplace(tensor.name, &tensor);
  }

  // The tensor of that entry, with its shape; null if the file has none.
  const FileTensor* take(const ParameterEntry& entry) {
    const auto found = tensors_.find(entry.name);
    if (found == tensors_.end()) return nullptr;
    const FileTensor* tensor = found->second;
    tensors_.erase(found);
    if (!std::ranges::equal(tensor->shape, entry.shape.dimensions())) {
      throw Error("'" + source_ + "': tensor '" + entry.name + "' has the shape " + shape_text(tensor->shape) +
                  ", the network needs " + to_string(entry.shape));
    }
    return tensor;
  }

  // A name that the network has too is no likely misspelling.
  [[noreturn]] void fail_missing(const std::string& name, const ParameterLayout& layout) const {
    const std::set<std::string_view> wanted = names_of(layout);
    std::vector<std::string_view> others;
    for (const auto& other : tensors_) {
      if (!wanted.contains(other.first)) others.push_back(other.first);
    }
    std::string message = "'" + source_ + "' has no tensor '" + name + "', which the network needs";
    const std::string_view nearest = nearest_name(name, others);
    if (!nearest.empty()) message += " (the nearest in the file is '" + shown(nearest) + "')";
    throw Error(message);
  }

  void require_empty(const ParameterLayout& layout) const {
    if (tensors_.empty()) return;
    const std::string_view name = tensors_.begin()->first;
    const std::set<std::string_view> names = names_of(layout);
    const std::vector<std::string_view> wanted(names.begin(), names.end());
    std::string message =
        "'" + source_ + "' holds a tensor '" + shown(name) + "', which the network does not have";
    const std::string_view nearest = nearest_name(name, wanted);
    if (!nearest.empty()) message += " (its nearest is '" + std::string(nearest) + "')";
    throw Error(message);
  }

 private:
  std::map<std::string_view, const FileTensor*> tensors_;
  const std::string& source_;
};

[[noreturn]] void fail_type(const FileTensor& tensor, const std::string& wanted, const std::string& source) {
  throw Error("'" + source + "': tensor '" + shown(tensor.name) + "' holds " + std::string(name(tensor.type)) +
              " elements, the network needs " + wanted);
}

void take_floats(TensorIndex& index, const std::vector<ParameterEntry>& entries, std::vector<float>& flat,
                 const ParameterLayout& layout, const std::string& source) {
  for (const ParameterEntry& entry : entries) {
    const FileTensor* tensor = index.take(entry);
    if (tensor == nullptr) index.fail_missing(entry.name, layout);
    if (!converts_to_f32(tensor->type)) fail_type(*tensor, "f32 (or f64, f16, bf16)", source);
    convert_to_f32(tensor->bytes, tensor->type, std::span(flat).subspan(entry.offset, entry.elements()));
  }
}

FileTensor tensor_of(const ParameterEntry& entry, DType type, const void* values) {
  FileTensor tensor;
  tensor.name = entry.name;
  tensor.type = type;
  tensor.shape.assign(entry.shape.dimensions().begin(), entry.shape.dimensions().end());
  tensor.bytes.resize(entry.elements() * size_of(type));
  if (!tensor.bytes.empty()) std::memcpy(tensor.bytes.data(), values, tensor.bytes.size());
  return tensor;
}

}  // namespace

HostParameters parameters_from(const SafetensorsFile& content, const ParameterLayout& layout,
                               const std::string& source) {
  HostParameters parameters;
  parameters.trained.resize(layout.trained_elements);
  parameters.statistics.resize(layout.statistic_elements);
  parameters.counters.resize(layout.counters.size());

  TensorIndex index(content, source);
  take_floats(index, layout.trained, parameters.trained, layout, source);
  take_floats(index, layout.statistics, parameters.statistics, layout, source);
  for (const ParameterEntry& entry : layout.counters) {
    // State dicts older than PyTorch 0.4.1 have no counters; PyTorch too reads them as 0.
    const FileTensor* tensor = index.take(entry);
    if (tensor == nullptr) continue;
    if (tensor->type != DType::i64) fail_type(*tensor, "i64", source);
    std::memcpy(&parameters.counters[entry.offset], tensor->bytes.data(), sizeof(std::int64_t));
  }
  index.require_empty(layout);
  return parameters;
}

std::vector<FileTensor> tensors_from(const HostParameters& parameters, const ParameterLayout& layout) {
  std::vector<FileTensor> tensors;
  // PyTorch's order: layer by layer, a layer's trained tensors, its statistics, its counters.
  auto trained = layout.trained.begin();
  auto statistic = layout.statistics.begin();
  auto counter = layout.counters.begin();
  const auto append = [&](auto& next, const auto& entries, std::size_t layer, DType type, const auto& flat) {
    for (; next != entries.end() && next->layer == layer; ++next) {
      tensors.push_back(tensor_of(*next, type, flat.data() + next->offset));
    }
  };
  const std::size_t wanted = layout.trained.size() + layout.statistics.size() + layout.counters.size();
  for (std::size_t layer = 0; tensors.size() < wanted; ++layer) {
    append(trained, layout.trained, layer, DType::f32, parameters.trained);
    append(statistic, layout.statistics, layer, DType::f32, parameters.statistics);
    append(counter, layout.counters, layer, DType::i64, parameters.counters);
  }
  return tensors;
}

}  // namespace descent
