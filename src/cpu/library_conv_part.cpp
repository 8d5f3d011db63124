// A direction through oneDNN.
#include "cpu/conv_part.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace descent {

namespace {

using Dims = dnnl::memory::dims;
using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;

// Grouped weights have a dimension of their own in oneDNN: G×O/G×I/G×H×W, the same bytes.
Dims weight_dims(const ConvProblem& problem) {
  const Shape shape = problem.weights();
  Dims dims{shape[0], shape[1], shape[2], shape[3]};
  if (problem.op.groups > 1) {
    dims[0] /= problem.op.groups;
    dims.insert(dims.begin(), problem.op.groups);
  }
  return dims;
}

struct Descs {
  Desc source, destination, weights, forward_weights, plain_weights, bias;
  Dims strides, dilates, padding_begin, padding_end;
};

Descs describe(const ConvProblem& problem, const ConvChoice& choice, Direction direction) {
  const Conv& op = problem.op;
  const Dims weights = weight_dims(problem);
  const auto f32 = dnnl::memory::data_type::f32;
  // Data in bf16 is multiplied with weights in bf16, but the weights' gradient is a sum, and stays f32.
  const auto type = direction == Direction::backward_weights ? f32 : data_type(problem.type);
  // The window need not reach the far edge; the padding there follows from the output's size.
  const auto far = [](std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                      std::int64_t padding, std::int64_t dilation) {
    return (out - 1) * stride + (kernel - 1) * dilation + 1 - in - padding;
  };
  return {memory_desc(problem.source, problem.type, choice.source),
          memory_desc(problem.destination, problem.type, choice.destination),
          Desc(weights, type, Tag::any),
          Desc(weights, data_type(problem.type), Tag::any),
          Desc(weights, f32, op.groups > 1 ? Tag::goihw : Tag::oihw),
          op.bias ? Desc({op.out}, f32, Tag::a) : Desc(),
          {op.stride.height, op.stride.width},
          {op.dilation.height - 1, op.dilation.width - 1},
          {op.padding.height, op.padding.width},
          {far(problem.source[2], problem.destination[2], op.kernel.height, op.stride.height, op.padding.height,
               op.dilation.height),
           far(problem.source[3], problem.destination[3], op.kernel.width, op.stride.width, op.padding.width,
               op.dilation.width)}};
}

// What follows the sums, in the primitive's own registers.
dnnl::primitive_attr attributes_of(const ConvProblem& problem, const Desc& destination) {
  dnnl::primitive_attr attributes = user_scratchpad();
  dnnl::post_ops after;
  if (problem.adds) after.append_binary(dnnl::algorithm::binary_add, destination);
  if (problem.activation) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const auto shift = -static_cast<float>(problem.activation->sub);
    after.append_eltwise(dnnl::algorithm::eltwise_relu, static_cast<float>(problem.activation->leak), 0);
    if (shift != 0) after.append_eltwise(dnnl::algorithm::eltwise_linear, 1, shift);
    if (problem.activation->maxv) {
      after.append_eltwise(dnnl::algorithm::eltwise_clip, -infinity,
                           static_cast<float>(*problem.activation->maxv));
    }
  }
  if (after.len() > 0) attributes.set_post_ops(after);
  return attributes;
}

struct Names {
  std::size_t most = 0;
  std::vector<std::string> of;
};

class LibraryPart final : public ConvPart {
 public:
  // With `names` lists those of all implementations and makes nothing.
  [[nodiscard]] static std::unique_ptr<ConvPart> build(const Onednn& onednn, const ConvProblem& problem,
                                                       Direction direction, const ConvChoice& choice,
                                                       Names* names);

  void bind(const Addresses& addresses) override;
  void derive() const override {
    if (weights_reorder_) weights_reorder_->run(onednn_);
  }
  void run() const override {
    call_.run(onednn_);
    if (direction_ == Direction::backward_weights && weights_reorder_) weights_reorder_->run(onednn_);
  }

  [[nodiscard]] std::size_t inner_bytes() const override {
    return weights_reorder_ ? weights_.get_desc().get_size() : 0;
  }
  [[nodiscard]] std::size_t scratchpad_bytes() const override {
    return std::max(scratchpad_.get_desc().get_size(),
                    weights_reorder_ ? weights_reorder_->scratchpad_bytes() : 0);
  }
  [[nodiscard]] double flops() const override { return flops_; }
  [[nodiscard]] const std::string& implementation() const override { return implementation_; }

 private:
  explicit LibraryPart(const Onednn& onednn) : onednn_(onednn) {}

  Onednn onednn_;
  Direction direction_ = Direction::forward;
  dnnl::memory source_;
  dnnl::memory destination_;
  dnnl::memory weights_;  // inner
  dnnl::memory bias_;
  dnnl::memory residual_;
  dnnl::memory scratchpad_;
  Call call_;
  std::optional<Reorder> weights_reorder_;
  std::string implementation_;
  double flops_ = 0;
  bool has_bias_ = false;
  bool adds_ = false;
};

std::unique_ptr<ConvPart> LibraryPart::build(const Onednn& onednn, const ConvProblem& problem,
                                             Direction direction, const ConvChoice& choice, Names* names) try {
  const Descs d = describe(problem, choice, direction);
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const dnnl::primitive_attr attributes = attributes_of(problem, d.destination);
  std::unique_ptr<LibraryPart> made(new LibraryPart(onednn));
  LibraryPart& part = *made;
  part.flops_ = problem.flops();
  part.direction_ = direction;
  part.adds_ = problem.adds;
  part.has_bias_ = problem.op.bias && direction != Direction::backward_data;
  Desc inner;
  Desc scratchpad;

  // Takes the chosen implementation; false if there is none, or it is reference code.
  const auto take = [&]<class Primitive>(typename Primitive::primitive_desc description, auto weights_of) {
    if (names != nullptr) {
      do {
        const std::string name = description.impl_info_str();
        // What has been made the library lists several times.
        if (!is_reference(name) && std::ranges::count(names->of, name) == 0) names->of.push_back(name);
      } while (names->of.size() < names->most && description.next_impl());
      return false;
    }
    part.implementation_ = description.impl_info_str();
    while (!choice.implementation.empty() && part.implementation_ != choice.implementation) {
      if (!description.next_impl()) return false;
      part.implementation_ = description.impl_info_str();
    }
    if (is_reference(part.implementation_)) return false;
    inner = weights_of(description);
    scratchpad = description.scratchpad_desc();
    part.call_.primitive = Primitive(description);
    return true;
  };

  bool found = false;
  const dnnl::convolution_forward::primitive_desc forward(
      onednn.engine, problem.inference ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training,
      algorithm, d.source, d.forward_weights, d.bias, d.destination, d.strides, d.dilates, d.padding_begin,
      d.padding_end, attributes);
  switch (direction) {
    case Direction::forward:
      found =
          take.operator()<dnnl::convolution_forward>(forward, [](const auto& pd) { return pd.weights_desc(); });
      break;
    case Direction::backward_data:
      found = take.operator()<dnnl::convolution_backward_data>(
          {onednn.engine, algorithm, d.source, d.weights, d.destination, d.strides, d.dilates, d.padding_begin,
           d.padding_end, forward, attributes},
          [](const auto& pd) { return pd.weights_desc(); });
      break;
    case Direction::backward_weights:
      found = take.operator()<dnnl::convolution_backward_weights>(
          {onednn.engine, algorithm, d.source, d.weights, d.bias, d.destination, d.strides, d.dilates,
           d.padding_begin, d.padding_end, forward, attributes},
          [](const auto& pd) { return pd.diff_weights_desc(); });
      break;
  }
  if (!found) return nullptr;

  part.source_ = unbound(d.source, onednn);
  part.destination_ = unbound(d.destination, onednn);
  part.weights_ = unbound(inner, onednn);
  if (part.has_bias_) part.bias_ = unbound(d.bias, onednn);
  part.scratchpad_ = unbound(scratchpad, onednn);
  if (inner != d.plain_weights) {
    const bool outwards = direction == Direction::backward_weights;
    part.weights_reorder_.emplace(onednn, outwards ? inner : d.plain_weights,
                                  outwards ? d.plain_weights : inner);
  }

  auto& arguments = part.call_.arguments;
  switch (direction) {
    case Direction::forward:
      arguments = {
          {DNNL_ARG_SRC, part.source_}, {DNNL_ARG_WEIGHTS, part.weights_}, {DNNL_ARG_DST, part.destination_}};
      if (part.has_bias_) arguments.emplace(DNNL_ARG_BIAS, part.bias_);
      if (part.adds_) {
        part.residual_ = unbound(d.destination, onednn);
        arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, part.residual_);
      }
      break;
    case Direction::backward_data:
      arguments = {{DNNL_ARG_DIFF_SRC, part.source_},
                   {DNNL_ARG_WEIGHTS, part.weights_},
                   {DNNL_ARG_DIFF_DST, part.destination_}};
      break;
    case Direction::backward_weights:
      arguments = {{DNNL_ARG_SRC, part.source_},
                   {DNNL_ARG_DIFF_WEIGHTS, part.weights_},
                   {DNNL_ARG_DIFF_DST, part.destination_}};
      if (part.has_bias_) arguments.emplace(DNNL_ARG_DIFF_BIAS, part.bias_);
      break;
  }
  arguments.emplace(DNNL_ARG_SCRATCHPAD, part.scratchpad_);
  return made;
} catch (const dnnl::error&) {
  return nullptr;  // no implementation for these layouts
}

void LibraryPart::bind(const Addresses& addresses) {
  source_.set_data_handle(addresses.source);
  destination_.set_data_handle(addresses.destination);
  scratchpad_.set_data_handle(addresses.scratchpad);
  if (has_bias_) bias_.set_data_handle(addresses.bias);
  if (adds_) residual_.set_data_handle(addresses.residual);
  if (!weights_reorder_) {
    weights_.set_data_handle(addresses.weights);
    return;
  }
  weights_.set_data_handle(addresses.inner);
  const bool outwards = direction_ == Direction::backward_weights;
  weights_reorder_->bind(outwards ? addresses.inner : addresses.weights,
                         outwards ? addresses.weights : addresses.inner, addresses.scratchpad);
}

}  // namespace

std::unique_ptr<ConvPart> make_library_part(const Onednn& onednn, const ConvProblem& problem,
                                            Direction direction, const ConvChoice& choice) {
  return LibraryPart::build(onednn, problem, direction, choice, nullptr);
}

std::vector<std::string> library_implementations(const Onednn& onednn, const ConvProblem& problem,
                                                 Direction direction, const ConvChoice& choice,
                                                 std::size_t most) {
  Names names{most, {}};
  static_cast<void>(LibraryPart::build(onednn, problem, direction, choice, &names));
  return names.of;
}

}  // namespace descent
