// What measured times are filed under, on any device: two pieces of work with the same name take the same time.
#pragma once

#include "descent/ops.h"
#include "descent/tensor.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace descent {

// The three products of a convolution.
enum class Direction : std::uint8_t { forward, backward_data, backward_weights };
[[nodiscard]] std::string_view direction_name(Direction direction);  // "backward data"

// "128x64x56x56"
[[nodiscard]] std::string shape_name(const Shape& shape);
// "128x64x56x56 to 128x64x56x56 kernel 3x3 stride 1x1 padding 1x1 dilation 1x1 groups 1", " bias" behind it.
[[nodiscard]] std::string conv_name(const Conv& op, const Shape& source, const Shape& destination);

// Raised when a kernel of our own, or the way of timing, has become another: numbers from before count as those
// of another machine.
inline constexpr int kernels_revision = 9;
// The plan cache's key on a machine of that description.
[[nodiscard]] std::string timed_machine(const std::string& description);

}  // namespace descent
