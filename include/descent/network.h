// A network is data: named layers in the order in which they run, each with its operation, inputs and
// inferred output shape. It is read from a TOML file (src/network/README.md says how).
#pragma once

#include "descent/ops.h"
#include "descent/tensor.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace descent {

// Value 0 is the network's input; value i+1 is the output of layer i.
using ValueId = std::size_t;

struct Layer {
  std::string name;  // PyTorch's module path: "0.1", "layer1.0.bn1"
  Op op;
  std::vector<ValueId> inputs;  // values of earlier layers
  Shape input;                  // of the first input, without the batch: C×H×W or C
  Shape output;                 // without the batch
};

// x = (u8/255 − mean) / std, a channel each.
struct Normalisation {
  std::vector<float> mean;
  std::vector<float> std;
  friend bool operator==(const Normalisation&, const Normalisation&) = default;
};

struct Network {
  std::string name;
  std::string summary;
  Shape input;  // C×H×W
  Normalisation normalisation;
  std::vector<Layer> layers;
  std::string text;  // the TOML it was read from; with classes() enough to build it again

  [[nodiscard]] const Shape& shape(ValueId value) const {
    return value == 0 ? input : layers[value - 1].output;
  }
  [[nodiscard]] std::int64_t classes() const;  // features of the last layer's output
};

// Reads a network text. `source` names it in errors. `classes`, if not 0, replaces the text's own
// number of classes. Throws Error naming the layer, and both shapes where shapes do not meet.
[[nodiscard]] Network parse_network(std::string_view text, const std::string& source, std::int64_t classes = 0);

// A built-in name ("convnet") or the path of a .toml file. Throws Error with the nearest built-in name.
[[nodiscard]] Network load_network(const std::string& name_or_file, std::int64_t classes = 0);

struct BuiltinNetwork {
  std::string_view name;
  std::string_view text;
};
[[nodiscard]] std::span<const BuiltinNetwork> builtin_networks();

// A tensor that belongs to a layer.
struct ParameterSpec {
  enum class Kind : std::uint8_t { trained, statistic, counter };
  std::string suffix;  // "weight", "bias", "running_mean", "running_var", "num_batches_tracked"
  Shape shape;
  Kind kind = Kind::trained;
};

// What a layer computes, from its operation and input shapes (without the batch).
// Throws Error (without the layer's name: the caller adds it) if the shapes do not fit.
[[nodiscard]] Shape infer_output(const Op& op, std::span<const Shape> inputs);
[[nodiscard]] std::vector<ParameterSpec> parameters_of(const Op& op, const Shape& input);
// Multiply-accumulates for one picture, forward, padded taps counted.
[[nodiscard]] std::int64_t multiply_accumulates(const Op& op, const Shape& input, const Shape& output);

// Refuses a training batch that leaves a batch normalisation one value a channel; names the layer.
void check_training_batch(const Network& network, std::int64_t batch);

}  // namespace descent
