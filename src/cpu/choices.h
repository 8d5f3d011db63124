// What the tests and `--kernels` steer; by default everything is allowed and measured.
#pragma once

#include "cpu/layouts.h"

#include <optional>

namespace descent {

struct CpuChoices {
  std::optional<Layout> layout;  // use it wherever it fits
  bool library = true;           // false: our own loops wherever there are some
  bool own = true;               // false: the library wherever it has more than reference code
  // Winograd's algorithm wherever it suits; false: where it was measured to be faster.
  bool always_winograd = false;
};

}  // namespace descent
