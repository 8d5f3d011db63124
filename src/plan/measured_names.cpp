#include "plan/measured_names.h"

#include <fmt/format.h>

namespace descent {

std::string_view direction_name(Direction direction) {
  switch (direction) {
    case Direction::forward:
      return "forward";
    case Direction::backward_data:
      return "backward data";
    case Direction::backward_weights:
      return "backward weights";
  }
  return "";
}

std::string shape_name(const Shape& shape) {
  std::string text;
  for (const std::int64_t dimension : shape.dimensions())
    text += fmt::format("{}{}", text.empty() ? "" : "x", dimension);
  return text;
}

std::string conv_name(const Conv& op, const Shape& source, const Shape& destination) {
  return fmt::format("{} to {} kernel {}x{} stride {}x{} padding {}x{} dilation {}x{} groups {}{}",
                     shape_name(source), shape_name(destination), op.kernel.height, op.kernel.width,
                     op.stride.height, op.stride.width, op.padding.height, op.padding.width, op.dilation.height,
                     op.dilation.width, op.groups, op.bias ? " bias" : "");
}

std::string timed_machine(const std::string& description) {
  return description + ", kernels " + std::to_string(kernels_revision);
}

}  // namespace descent
