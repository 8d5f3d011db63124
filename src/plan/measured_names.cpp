#include "plan/measured_names.h"

#include <fmt/format.h>

#include <type_traits>
#include <variant>
#include <vector>

namespace descent {

namespace {

// What tells operations of one kind apart besides shapes.
std::string describe(const Op& operation) {
  std::string text(name(operation));
  std::visit(
      [&](const auto& op) {
        using Kind = std::decay_t<decltype(op)>;
        Kind::fields(op, [&](std::string_view field, const auto& value) {
          using Value = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<Value, Extent>) {
            text += fmt::format(" {} {}x{}", field, value.height, value.width);
          } else if constexpr (std::is_same_v<Value, bool>) {
            if (value) text += fmt::format(" {}", field);
          } else if constexpr (std::is_same_v<Value, std::int64_t>) {
            if (field == "groups" && value != 1) text += fmt::format(" {} {}", field, value);
          }
        });
      },
      operation);
  if (const auto* relu = std::get_if<GeneralRelu>(&operation)) {  // as with_least_rule() tells them apart
    text += relu->maxv ? " with limit" : relu->leak != 0 ? " with leak" : "";
  }
  return text;
}

}  // namespace

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

std::string unit_name(const KernelRequest& request) {
  std::string text;
  for (const Layer* layer : request.unit.layers) text += (text.empty() ? "" : " + ") + describe(layer->op);
  return fmt::format("{} {} {}, {} {} to {}", text, request.plan.mode == Mode::train ? "training" : "inference",
                     request.input_gradients.front() ? "with input gradient" : "alone",
                     name(request.output.type), shape_name(request.inputs.front().shape),
                     shape_name(request.output.shape));
}

Shape TimedBatch::of(const Shape& shape) const {
  std::vector<std::int64_t> dimensions(shape.dimensions().begin(), shape.dimensions().end());
  dimensions.at(0) = timed_;
  return Shape(dimensions);
}

TensorDesc TimedBatch::of(const TensorDesc& desc) const {
  return {desc.type, of(desc.shape), desc.layout};
}

KernelRequest TimedBatch::of(const KernelRequest& request) const {
  KernelRequest timed = request;
  for (TensorDesc& input : timed.inputs) input = of(input);
  timed.output = of(timed.output);
  return timed;
}

std::string timed_machine(const std::string& description) {
  return description + ", kernels " + std::to_string(kernels_revision);
}

}  // namespace descent
