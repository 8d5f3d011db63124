// Weights in safetensors files, named and laid out as PyTorch's state_dict.
#pragma once

#include "descent/network.h"
#include "descent/parameters.h"
#include "descent/picture.h"
#include "descent/tensor.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace descent {

// A tensor of a file, bytes in C order, little-endian.
struct FileTensor {
  std::string name;
  DType type = DType::f32;
  std::vector<std::int64_t> shape;  // a file may hold ranks that Shape cannot
  std::vector<std::byte> bytes;
};

struct SafetensorsFile {
  std::map<std::string, std::string> metadata;
  std::vector<FileTensor> tensors;  // in the order of the file's data
};

// Checks everything before it allocates: header length, JSON, types, shapes, offsets without holes or
// overlap, file length. Throws Error naming the file and what is wrong.
[[nodiscard]] SafetensorsFile read_safetensors(const std::filesystem::path& file);
// Written beside, flushed, renamed.
void write_safetensors(const std::filesystem::path& file, const SafetensorsFile& content);

// What a model file knows besides its weights; all that predicting needs.
struct ModelDescription {
  Network network;
  std::vector<std::string> classes;  // may be empty: classes are then named by their index
};

// A network with its weights.
struct Model {
  ModelDescription description;
  HostParameters parameters;
};

// MODEL is a run folder (its model.safetensors) or a .safetensors file. A file without our metadata
// needs `network_name` (a built-in network or a network file); classes are counted from the file.
[[nodiscard]] Model load_model(const std::filesystem::path& model,
                               const std::optional<std::string>& network_name = std::nullopt);
void save_model(const std::filesystem::path& file, const Model& model);
// The weights of a MODEL: the file itself, or that in the run folder. Throws Error if the folder holds none.
[[nodiscard]] std::filesystem::path weights_file(const std::filesystem::path& model);

// Strict: every tensor of the network is in the file and no other; shapes and types fit (f32, f64, f16,
// bf16 are read as f32). Throws Error naming the file and tensor.
[[nodiscard]] HostParameters parameters_from(const SafetensorsFile& content, const ParameterLayout& layout,
                                             const std::string& source);

// Where a file's weights were trained for another number of classes: gives the last layer with weights, and
// what follows it, the tensors that `draw` gives, which is not asked if the classes are as many. Names of the
// tensors that were replaced.
std::vector<std::string> replace_head(SafetensorsFile& content, const ParameterLayout& layout,
                                      const std::function<HostParameters()>& draw);
[[nodiscard]] std::vector<FileTensor> tensors_from(const HostParameters& parameters,
                                                   const ParameterLayout& layout);

}  // namespace descent
