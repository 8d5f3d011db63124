// MODEL, --model and --classes, as eval and predict take them.
#pragma once

#include "descent/weights.h"

#include <CLI/CLI.hpp>

#include <optional>
#include <string>

namespace descent::cli {

struct ModelArguments {
  std::string model;                   // a run folder or a .safetensors file
  std::optional<std::string> network;  // for files that do not say theirs
  std::string classes_file;            // empty: the names in the file's metadata

  [[nodiscard]] Model load() const;
};
void add_model_options(CLI::App& verb, ModelArguments& arguments);

}  // namespace descent::cli
