// The orders of elements that CUDA kernels know: nchw at the ports, nhwc inside.
#pragma once

#include "plan/layouts.h"

#include <string>

namespace descent {

// "nhwc"; other types than f32 are named: "bf16 nhwc".
[[nodiscard]] inline std::string cuda_format_name(Format format) {
  const std::string layout = format.layout == nhwc ? "nhwc" : "nchw";
  return format.type == DType::f32 ? layout : std::string(name(format.type)) + " " + layout;
}

}  // namespace descent
