// The one table of operation cases. Every device runs every row against the reference, and the reference
// runs them against finite differences.
#pragma once

#include "descent/device.h"
#include "descent/network.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace descent::test {

struct OpCase {
  enum class Input {
    distinct,  // all values differ and none is 0: every gradient is defined
    ties,      // few different values, 0 among them: the rules for ties and kinks show
    large,     // up to ±200: naive exponentials overflow
  };

  std::string operation;  // whose row this is: "conv"
  std::string name;       // what is special about it
  Network network;
  std::int64_t batch = 1;
  Mode mode = Mode::train;
  bool loss = false;          // ends in softmax cross-entropy
  bool soft_targets = false;  // distributions rather than one class a row
  Input input = Input::distinct;
  std::uint64_t seed = 0;  // of inputs, parameters and dropout
};

// Every operation that a row may belong to, in the order of Op.
[[nodiscard]] std::vector<std::string_view> operations();

[[nodiscard]] const std::vector<OpCase>& op_cases();
[[nodiscard]] std::vector<const OpCase*> op_cases_of(std::string_view operation);
// Linear layers are the library's, whose sums may depend on the number of threads (they do with AVX2).
[[nodiscard]] bool has_linear(const OpCase& row);

}  // namespace descent::test
