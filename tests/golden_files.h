// The results that PyTorch gave in double precision, as committed under tests/data
// (tools/make_reference.py makes them and describes the files).
#pragma once

#include "descent/data.h"
#include "descent/network.h"
#include "descent/parameters.h"
#include "descent/weights.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace descent::test {

// 20 updates by one optimizer, and where they led.
struct GoldenRun {
  std::string name;
  std::string optimizer;
  double learning_rate = 0;
  std::string decay;  // none, decoupled, l2
  double weight_decay = 0;
  std::vector<double> losses;
  HostParameters end;
};

struct GoldenGradients {
  std::vector<float> values;                  // flat, by the layout
  std::map<std::string, double> float_error;  // of PyTorch's own f32 gradient, a tensor each: ‖difference‖
};

// The seed network: start, pictures and runs.
struct Golden {
  Network network;
  ParameterLayout layout;
  HostParameters start;
  PictureSet pictures;
  std::int64_t batch = 8;  // pictures k·8 …, the last batch of a pass partial, pass after pass
  GoldenGradients gradients;
  std::vector<GoldenRun> runs;
};
[[nodiscard]] Golden read_golden();

// The tensors of `file` whose names begin with `prefix`, named without it.
[[nodiscard]] SafetensorsFile with_prefix(const SafetensorsFile& file, std::string_view prefix);

[[nodiscard]] std::vector<double> doubles_of(const FileTensor& tensor);  // f32 or f64
[[nodiscard]] const FileTensor& tensor_named(const SafetensorsFile& file, std::string_view name);

[[nodiscard]] std::string test_data(const std::string& name);  // a path under tests/data

// ‖a − b‖ and ‖a‖, in double.
[[nodiscard]] double distance(std::span<const float> a, std::span<const float> b);
[[nodiscard]] double norm(std::span<const float> values);

}  // namespace descent::test
