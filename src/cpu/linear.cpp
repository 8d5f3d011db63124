// Linear layers through oneDNN's inner product, plain rows on both sides. Bound: arithmetic.

#include "cpu/library_kernels.h"

#include <algorithm>
#include <optional>

namespace descent {

namespace {

using Tag = dnnl::memory::format_tag;

class LinearKernel final : public Kernel {
 public:
  LinearKernel(const KernelRequest& request, const Onednn& onednn)
      : onednn_(onednn), has_bias_(std::get<Linear>(request.unit.first().op).bias) {
    const Shape& input = request.inputs.front().shape;
    const Shape& output = request.output.shape;
    flops_ = 2.0 * static_cast<double>(output.elements()) * static_cast<double>(input[1]);
    const auto type = dnnl::memory::data_type::f32;
    const auto source = memory_desc(request.inputs.front());
    const auto destination = memory_desc(request.output);
    const dnnl::memory::desc weights({output[1], input[1]}, type, Tag::ab);
    const dnnl::memory::desc bias =
        has_bias_ ? dnnl::memory::desc({output[1]}, type, Tag::a) : dnnl::memory::desc();
    const dnnl::inner_product_forward::primitive_desc forward(onednn.engine, dnnl::prop_kind::forward_training,
                                                              source, weights, bias, destination,
                                                              user_scratchpad());
    implementation_ = forward.impl_info_str();
    needs_.inputs = {request.inputs.front().format()};
    needs_.output = request.output.format();
    needs_.backward_reads_inputs = true;
    input_ = unbound(source, onednn);
    output_ = unbound(destination, onednn);
    weights_ = unbound(weights, onednn);
    if (has_bias_) bias_ = unbound(bias, onednn);
    forward_ = {dnnl::inner_product_forward(forward),
                {{DNNL_ARG_SRC, input_}, {DNNL_ARG_WEIGHTS, weights_}, {DNNL_ARG_DST, output_}}};
    if (has_bias_) forward_.arguments.emplace(DNNL_ARG_BIAS, bias_);
    add_scratchpad(forward_, forward.scratchpad_desc());
    if (request.plan.mode != Mode::train) return;

    output_gradient_ = unbound(destination, onednn);
    weights_gradient_ = unbound(weights, onednn);
    const dnnl::inner_product_backward_weights::primitive_desc backward_weights(
        onednn.engine, source, weights, bias, destination, forward, user_scratchpad());
    backward_implementation_ = backward_weights.impl_info_str();
    backward_weights_ = {dnnl::inner_product_backward_weights(backward_weights),
                         {{DNNL_ARG_SRC, input_},
                          {DNNL_ARG_DIFF_DST, output_gradient_},
                          {DNNL_ARG_DIFF_WEIGHTS, weights_gradient_}}};
    if (has_bias_) {
      bias_gradient_ = unbound(bias, onednn);
      backward_weights_.arguments.emplace(DNNL_ARG_DIFF_BIAS, bias_gradient_);
    }
    add_scratchpad(backward_weights_, backward_weights.scratchpad_desc());
    if (!request.input_gradients.front()) return;

    input_gradient_ = unbound(source, onednn);
    const dnnl::inner_product_backward_data::primitive_desc backward_data(
        onednn.engine, source, weights, destination, forward, user_scratchpad());
    backward_implementation_ += std::string(", ") + backward_data.impl_info_str();
    backward_data_ = Call{dnnl::inner_product_backward_data(backward_data),
                          {{DNNL_ARG_DIFF_SRC, input_gradient_},
                           {DNNL_ARG_WEIGHTS, weights_},
                           {DNNL_ARG_DIFF_DST, output_gradient_}}};
    add_scratchpad(*backward_data_, backward_data.scratchpad_desc());
  }

  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }

  void bind(const Binding& binding) override {
    input_.set_data_handle(binding.inputs.front());
    output_.set_data_handle(binding.output);
    weights_.set_data_handle(binding.parameters[0]);
    if (has_bias_) bias_.set_data_handle(binding.parameters[1]);
    for (dnnl::memory& pad : scratchpads_) pad.set_data_handle(binding.scratch);
    if (!output_gradient_) return;
    output_gradient_.set_data_handle(binding.output_gradient);
    weights_gradient_.set_data_handle(binding.parameter_gradients[0]);
    if (has_bias_) bias_gradient_.set_data_handle(binding.parameter_gradients[1]);
    if (backward_data_) input_gradient_.set_data_handle(binding.input_gradients.front());
  }

  void forward(const StepContext& /*context*/) override { forward_.run(onednn_); }

  void backward(const StepContext& /*context*/) override {
    backward_weights_.run(onednn_);
    if (backward_data_) backward_data_->run(onednn_);
  }

  [[nodiscard]] OperationReport report_forward() const override {
    return report("linear forward", implementation_, 1);
  }
  [[nodiscard]] OperationReport report_backward() const override {
    return report("linear backward", backward_implementation_, backward_data_ ? 2 : 1);
  }

 private:
  void add_scratchpad(Call& call, const dnnl::memory::desc& desc) {
    scratchpads_.push_back(unbound(desc, onednn_));
    call.arguments.emplace(DNNL_ARG_SCRATCHPAD, scratchpads_.back());
    needs_.scratch_bytes = std::max(needs_.scratch_bytes, desc.get_size());
  }

  [[nodiscard]] OperationReport report(std::string operation, const std::string& implementation,
                                       int directions) const {
    OperationReport report;
    report.operation = std::move(operation);
    report.implementation = implementation;
    report.layout = "nc";
    report.flops = directions * flops_;
    const std::size_t bytes =
        input_.get_desc().get_size() + output_.get_desc().get_size() + weights_.get_desc().get_size();
    report.bytes = directions * static_cast<double>(bytes);
    return report;
  }

  Onednn onednn_;
  bool has_bias_;
  double flops_ = 0;
  KernelNeeds needs_;
  std::string implementation_;
  std::string backward_implementation_;
  dnnl::memory input_, output_, weights_, bias_;
  dnnl::memory input_gradient_, output_gradient_, weights_gradient_, bias_gradient_;
  std::vector<dnnl::memory> scratchpads_;
  Call forward_;
  Call backward_weights_;
  std::optional<Call> backward_data_;
};

}  // namespace

std::unique_ptr<Kernel> make_linear(const KernelRequest& request, const Onednn& onednn) {
  return std::make_unique<LinearKernel>(request, onednn);
}

}  // namespace descent
