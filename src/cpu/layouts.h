// The orders of elements that the CPU's kernels know.
#pragma once

#include "descent/tensor.h"
#include "plan/layouts.h"

#include <string>
#include <string_view>

namespace descent {

inline constexpr Layout nchw8c{2};   // N × C/8 × H × W × 8; only where 8 divides C
inline constexpr Layout nchw16c{3};  // N × C/16 × H × W × 16; only where 16 divides C
inline constexpr Layout n16chw{4};   // N/16 × C × H × W × 16 pictures; f32, where 16 divides N
inline constexpr Layout n32chw{5};   // the same with 32: bf16, where 32 divides N

// Our own kernels know these, the library's only reorders.
[[nodiscard]] constexpr bool has_pictures_innermost(Layout layout) {
  return layout == n16chw || layout == n32chw;
}

// That of the two whose vectors hold this type.
[[nodiscard]] constexpr Layout lanes_layout(DType type) {
  return type == DType::bf16 ? n32chw : n16chw;
}

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
    case 5:
      return "n32chw";
    default:
      return "nchw";
  }
}

// "nhwc"; other types than f32 are named: "bf16 nhwc".
[[nodiscard]] inline std::string format_name(Format format) {
  const std::string layout(layout_name(format.layout));
  return format.type == DType::f32 ? layout : std::string(name(format.type)) + " " + layout;
}

// "nchw → bf16 n32chw"
[[nodiscard]] inline std::string change_name(Format from, Format to) {
  return format_name(from) + " → " + format_name(to);
}

}  // namespace descent
