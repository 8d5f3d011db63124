// Tables of named numbers: the options of optimizers and of schedules. Command lines, configuration files,
// --help and lists follow from them.
#pragma once

#include <string_view>

namespace descent {

// One option of a struct `Rule`, as --beta1 or `beta1 =` name it. Limits: low ≤ value < high.
template <class Rule>
struct OptionOf {
  std::string_view name;
  double Rule::*member;
  double low;
  double high;
  std::string_view help;
  bool whole = false;               // counts something
  std::string_view automatic = {};  // what 0, its default, stands for; empty: 0 is a number as any other
};

// An option with its value.
struct OptionValue {
  std::string_view name;
  double value;
  std::string_view help;
  bool whole = false;
  std::string_view automatic = {};
};

namespace detail {
inline constexpr double no_limit = 1e30;
}  // namespace detail

}  // namespace descent
