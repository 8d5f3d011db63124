// The orders of elements that more than one device knows.
#pragma once

#include "descent/tensor.h"

namespace descent {

inline constexpr Layout nchw = Layout::plain;  // also N×C
inline constexpr Layout nhwc{1};               // channels last

}  // namespace descent
