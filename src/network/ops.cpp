// The rules of each operation: shapes, parameters, work.
#include "descent/ops.h"

#include "descent/error.h"
#include "descent/network.h"

#include <fmt/format.h>

#include <array>

namespace descent {

namespace {

constexpr std::int64_t max_elements = (std::int64_t{1} << 31U) - 1;
constexpr std::int64_t max_extent = std::int64_t{1} << 20U;

std::string to_string(const Extent& extent) {
  return fmt::format("{}×{}", extent.height, extent.width);
}

// Refuses what would not fit 32-bit indices; overflow cannot happen on the way.
void check_elements(std::string_view what, std::span<const std::int64_t> sizes) {
  std::int64_t elements = 1;
  for (const std::int64_t size : sizes) {
    if (size > max_elements / elements)
      throw Error(fmt::format("{} has more than {} elements", what, max_elements));
    elements *= size;
  }
}

Shape checked(const Shape& output) {
  check_elements("its output " + to_string(output), output.dimensions());
  return output;
}

// Sizes count from 1, except that there may be no padding.
template <class Operation>
void check_fields(const Operation& op) {
  const auto refuse = [](std::string_view key, const std::string& value, std::int64_t least,
                         std::int64_t most) {
    throw Error(fmt::format("'{}' of {} is {}, but must lie between {} and {}", key, Operation::name, value,
                            least, most));
  };
  Operation::fields(op, Overloaded{[&](std::string_view key, const std::int64_t& size) {
                                     if (size < 1 || size > max_elements) {
                                       refuse(key, std::to_string(size), 1, max_elements);
                                     }
                                   },
                                   [&](std::string_view key, const Extent& extent) {
                                     const std::int64_t least = key == "padding" ? 0 : 1;
                                     for (const std::int64_t size : {extent.height, extent.width}) {
                                       if (size < least || size > max_extent) {
                                         refuse(key, to_string(extent), least, max_extent);
                                       }
                                     }
                                   },
                                   [](std::string_view /*key*/, const auto& /*other*/) {}});
}

const Shape& only(std::string_view op, std::span<const Shape> inputs) {
  if (inputs.size() != 1) throw Error(fmt::format("{} takes 1 input, but gets {}", op, inputs.size()));
  return inputs[0];
}

// The only input, which must be C×H×W.
const Shape& picture(std::string_view op, std::span<const Shape> inputs) {
  const Shape& input = only(op, inputs);
  if (input.rank() != 3) {
    throw Error(fmt::format("{} takes channels×height×width, but gets {}", op, to_string(input)));
  }
  return input;
}

std::array<Shape, 2> both(std::string_view op, std::span<const Shape> inputs) {
  if (inputs.size() != 2) throw Error(fmt::format("{} takes 2 inputs, but gets {}", op, inputs.size()));
  if (inputs[0] != inputs[1]) {
    throw Error(fmt::format("{} takes two inputs of one shape, but gets {} and {}", op, to_string(inputs[0]),
                            to_string(inputs[1])));
  }
  return {inputs[0], inputs[1]};
}

[[noreturn]] void window_too_large(std::string_view op, const Extent& window, const Extent& padding,
                                   const Shape& input) {
  throw Error(fmt::format("the window {} of {} is larger than its input {} with padding {}", to_string(window),
                          op, to_string(input), to_string(padding)));
}

// How many windows fit along one axis; PyTorch's rule: rounded up, the last must begin inside the
// picture or its left padding. Less than 1 if none fits.
std::int64_t windows(std::int64_t size, std::int64_t window, std::int64_t stride, std::int64_t padding,
                     bool ceil_mode) {
  const std::int64_t room = size + 2 * padding - window + (ceil_mode ? stride - 1 : 0);
  if (room < 0) return 0;
  const std::int64_t count = room / stride + 1;
  return ceil_mode && (count - 1) * stride >= size + padding ? count - 1 : count;
}

template <class Pool>
Shape pooled(const Pool& op, std::span<const Shape> inputs) {
  const Shape& input = picture(Pool::name, inputs);
  if (2 * op.padding.height > op.kernel.height || 2 * op.padding.width > op.kernel.width) {
    throw Error(fmt::format("the padding {} of {} is more than half of its window {}", to_string(op.padding),
                            Pool::name, to_string(op.kernel)));
  }
  const std::int64_t height =
      windows(input[1], op.kernel.height, op.stride.height, op.padding.height, op.ceil_mode);
  const std::int64_t width =
      windows(input[2], op.kernel.width, op.stride.width, op.padding.width, op.ceil_mode);
  if (height < 1 || width < 1) window_too_large(Pool::name, op.kernel, op.padding, input);
  return {input[0], height, width};
}

// What each operation computes; no fallback, so that the compiler asks for the rule of a new one.
struct OutputRule {
  std::span<const Shape> inputs;

  Shape operator()(const Conv& op) const {
    const Shape& input = picture(Conv::name, inputs);
    if (input[0] % op.groups != 0 || op.out % op.groups != 0) {
      throw Error(
          fmt::format("{} groups do not divide the {} channels of conv's input {} and its {} output channels",
                      op.groups, input[0], to_string(input), op.out));
    }
    const Extent window{op.dilation.height * (op.kernel.height - 1) + 1,
                        op.dilation.width * (op.kernel.width - 1) + 1};
    const std::int64_t height = windows(input[1], window.height, op.stride.height, op.padding.height, false);
    const std::int64_t width = windows(input[2], window.width, op.stride.width, op.padding.width, false);
    if (height < 1 || width < 1) window_too_large(Conv::name, window, op.padding, input);
    const std::array weight{op.out, input[0] / op.groups, op.kernel.height, op.kernel.width};
    check_elements("its weight", weight);
    return {op.out, height, width};
  }
  Shape operator()(const BatchNorm& op) const {
    const Shape& input = only(BatchNorm::name, inputs);
    if (input.rank() != 3 && input.rank() != 1) {
      throw Error(
          fmt::format("batch_norm takes channels×height×width or features, but gets {}", to_string(input)));
    }
    if (op.eps < 0) throw Error(fmt::format("'eps' of batch_norm is {}, but must not be negative", op.eps));
    if (!(op.momentum >= 0 && op.momentum <= 1)) {
      throw Error(fmt::format("'momentum' of batch_norm is {}, but must lie between 0 and 1", op.momentum));
    }
    return input;
  }
  Shape operator()(const GeneralRelu& /*op*/) const { return only(GeneralRelu::name, inputs); }
  Shape operator()(const Linear& op) const {
    const Shape& input = only(Linear::name, inputs);
    if (input.rank() != 1) {
      throw Error(fmt::format("linear takes features, but gets {}: put a flatten before it", to_string(input)));
    }
    const std::array weight{op.out, input[0]};
    check_elements("its weight", weight);
    return {op.out};
  }
  Shape operator()(const AvgPool& op) const { return pooled(op, inputs); }
  Shape operator()(const MaxPool& op) const { return pooled(op, inputs); }
  Shape operator()(const GlobalAvgPool& /*op*/) const {
    return {picture(GlobalAvgPool::name, inputs)[0], 1, 1};
  }
  Shape operator()(const Add& /*op*/) const { return both(Add::name, inputs)[0]; }
  Shape operator()(const Flatten& /*op*/) const { return {only(Flatten::name, inputs).elements()}; }
  Shape operator()(const Dropout& op) const {
    if (!(op.p >= 0 && op.p < 1))
      throw Error(fmt::format("'p' of dropout is {}, but must lie in [0, 1)", op.p));
    return only(Dropout::name, inputs);
  }
  Shape operator()(const SoftmaxCrossEntropy& /*op*/) const {
    const Shape logits = both(SoftmaxCrossEntropy::name, inputs)[0];
    if (logits.rank() != 1) {
      throw Error(fmt::format("softmax_cross_entropy takes features, but gets {}", to_string(logits)));
    }
    return {2};
  }
};

}  // namespace

Shape infer_output(const Op& op, std::span<const Shape> inputs) {
  for (const Shape& input : inputs) check_elements("its input " + to_string(input), input.dimensions());
  std::visit([](const auto& alternative) { check_fields(alternative); }, op);
  return checked(std::visit(OutputRule{inputs}, op));
}

std::vector<ParameterSpec> parameters_of(const Op& op, const Shape& input) {
  using Kind = ParameterSpec::Kind;
  return std::visit(
      Overloaded{[&](const Conv& conv) {
                   std::vector<ParameterSpec> specs{
                       {"weight",
                        {conv.out, input[0] / conv.groups, conv.kernel.height, conv.kernel.width},
                        Kind::trained}};
                   if (conv.bias) specs.push_back({"bias", {conv.out}, Kind::trained});
                   return specs;
                 },
                 [&](const Linear& linear) {
                   std::vector<ParameterSpec> specs{{"weight", {linear.out, input[0]}, Kind::trained}};
                   if (linear.bias) specs.push_back({"bias", {linear.out}, Kind::trained});
                   return specs;
                 },
                 [&](const BatchNorm& /*norm*/) {
                   const Shape channels{input[0]};
                   return std::vector<ParameterSpec>{{"weight", channels, Kind::trained},
                                                     {"bias", channels, Kind::trained},
                                                     {"running_mean", channels, Kind::statistic},
                                                     {"running_var", channels, Kind::statistic},
                                                     {"num_batches_tracked", {}, Kind::counter}};
                 },
                 [](const auto& /*none*/) { return std::vector<ParameterSpec>{}; }},
      op);
}

std::int64_t multiply_accumulates(const Op& op, const Shape& input, const Shape& output) {
  return std::visit(Overloaded{[&](const Conv& conv) {
                                 return output.elements() * (input[0] / conv.groups) * conv.kernel.height *
                                        conv.kernel.width;
                               },
                               [&](const Linear& /*linear*/) { return input.elements() * output.elements(); },
                               [](const auto& /*none*/) { return std::int64_t{0}; }},
                    op);
}

}  // namespace descent
