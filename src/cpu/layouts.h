// The orders of elements that the CPU's kernels know.
#pragma once

#include "descent/tensor.h"

#include <string_view>

namespace descent {

inline constexpr Layout nchw = Layout::plain;  // also N×C
inline constexpr Layout nhwc{1};               // channels last
inline constexpr Layout nchw8c{2};             // N × C/8 × H × W × 8; only where 8 divides C
inline constexpr Layout nchw16c{3};            // N × C/16 × H × W × 16; only where 16 divides C
inline constexpr Layout n16chw{4};             // N/16 × C × H × W × 16 pictures; only where 16 divides N

[[nodiscard]] constexpr std::string_view layout_name(Layout layout) {
  switch (static_cast<int>(layout)) {
    case 1:
      return "nhwc";
    case 2:
      return "nChw8c";
    case 3:
      return "nChw16c";
    case 4:
      return "n16chw";
    default:
      return "nchw";
  }
}

}  // namespace descent
