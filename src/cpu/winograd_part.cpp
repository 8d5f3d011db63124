// Directions of a convolution by Winograd's algorithm. In training the weights at the points, four times the
// weights, are derived at every call into scratch that all layers share; in inference they stay, where pictures
// are few enough for that to count.
// Bound and measurements: winograd.cpp; deriving costs 9 numbers read and 36 written a pair of channels.
#include "cpu/conv_part.h"
#include "cpu/winograd.h"
#include "plan/relu_rule.h"

#include <algorithm>
#include <utility>

namespace descent {

namespace {

constexpr std::int64_t few_pictures = 32;  // with so many, deriving takes a twentieth of resnet18's answers

// As the convolution that computes `direction` forward.
WinogradProblem winograd_problem(const ConvProblem& problem, Direction direction, const ConvChoice& choice) {
  const Extent& padding = problem.op.padding;
  if (direction != Direction::backward_data) {
    return {problem.source, problem.destination, padding, choice.source, choice.destination};
  }
  return {problem.destination,
          problem.source,
          {winograd_taps - 1 - padding.height, winograd_taps - 1 - padding.width},
          choice.destination,
          choice.source};
}

const std::string& name_of_all() {
  static const std::string name(winograd_name);
  return name;
}

// Forward, or the gradient of the input.
class WinogradProductPart final : public ConvPart {
 public:
  WinogradProductPart(const CpuContext& context, const ConvProblem& problem, Direction direction,
                      const ConvChoice& choice)
      : gradient_(direction == Direction::backward_data),
        has_bias_(problem.op.bias && !gradient_),
        adds_(problem.adds),
        keeps_weights_(problem.inference && problem.source[0] < few_pictures),
        product_(winograd_problem(problem, direction, choice),
                 gradient_ ? WeightsAtPoints::Order::turned : WeightsAtPoints::Order::as_they_are, context) {
    if (problem.activation) activation_.emplace(*problem.activation);
  }

  void bind(const Addresses& addresses) override {
    bound_ = addresses;
    if (!has_bias_) bound_.bias = nullptr;
    if (!adds_) bound_.residual = nullptr;
    // A gradient goes from destination to source.
    if (gradient_) std::swap(bound_.source, bound_.destination);
    auto* const scratchpad = static_cast<float*>(addresses.scratchpad);
    weights_ = keeps_weights_ ? static_cast<float*>(addresses.inner) : scratchpad;
    scratch_ = keeps_weights_ ? scratchpad : scratchpad + product_.weights_bytes() / sizeof(float);
  }

  void derive() const override {
    if (keeps_weights_) product_.derive(static_cast<const float*>(bound_.weights), weights_);
  }

  void run() const override {
    if (!keeps_weights_) product_.derive(static_cast<const float*>(bound_.weights), weights_);
    product_.run(static_cast<const float*>(bound_.source), weights_,
                 {static_cast<const float*>(bound_.bias), static_cast<const float*>(bound_.residual),
                  activation_ ? &*activation_ : nullptr},
                 static_cast<float*>(bound_.destination), scratch_);
  }

  [[nodiscard]] std::size_t inner_bytes() const override {
    return keeps_weights_ ? product_.weights_bytes() : 0;
  }
  [[nodiscard]] std::size_t scratchpad_bytes() const override {
    return product_.scratch_bytes() + (keeps_weights_ ? 0 : product_.weights_bytes());
  }
  [[nodiscard]] double flops() const override { return product_.flops(); }
  [[nodiscard]] const std::string& implementation() const override { return name_of_all(); }

 private:
  bool gradient_;
  bool has_bias_;
  bool adds_;
  bool keeps_weights_;
  WinogradProduct product_;
  std::optional<ReluRule> activation_;
  Addresses bound_;
  float* weights_ = nullptr;
  float* scratch_ = nullptr;
};

class WinogradWeightsPart final : public ConvPart {
 public:
  WinogradWeightsPart(const CpuContext& context, const ConvProblem& problem, const ConvChoice& choice)
      : weights_(winograd_problem(problem, Direction::backward_weights, choice), context) {}

  void bind(const Addresses& addresses) override { bound_ = addresses; }
  void derive() const override {}
  void run() const override {
    weights_.run(static_cast<const float*>(bound_.source), static_cast<const float*>(bound_.destination),
                 static_cast<float*>(bound_.weights), static_cast<float*>(bound_.scratchpad));
  }

  [[nodiscard]] std::size_t inner_bytes() const override { return 0; }
  [[nodiscard]] std::size_t scratchpad_bytes() const override { return weights_.scratch_bytes(); }
  [[nodiscard]] double flops() const override { return weights_.flops(); }
  [[nodiscard]] const std::string& implementation() const override { return name_of_all(); }

 private:
  WinogradWeights weights_;
  Addresses bound_;
};

}  // namespace

bool suits_winograd(const ConvProblem& problem, Direction direction, const ConvChoice& choice) {
  const Conv& op = problem.op;
  const auto same = [](const Extent& extent, std::int64_t side) {
    return extent.height == side && extent.width == side;
  };
  const bool layouts = choice.source == choice.destination &&
                       (choice.source == nhwc || choice.source == nchw8c || choice.source == nchw16c);
  const bool channels = problem.source[1] % winograd_block == 0 && problem.destination[1] % winograd_block == 0;
  return problem.type == DType::f32 && layouts && channels && op.groups == 1 &&
         same(op.kernel, winograd_taps) && same(op.stride, 1) && same(op.dilation, 1) &&
         std::max(op.padding.height, op.padding.width) < winograd_taps &&
         // The gradient of a bias is a sum of its own.
         !(direction == Direction::backward_weights && op.bias);
}

std::unique_ptr<ConvPart> make_winograd_part(const CpuContext& context, const ConvProblem& problem,
                                             Direction direction, const ConvChoice& choice) {
  if (direction == Direction::backward_weights) {
    return std::make_unique<WinogradWeightsPart>(context, problem, choice);
  }
  return std::make_unique<WinogradProductPart>(context, problem, direction, choice);
}

}  // namespace descent
