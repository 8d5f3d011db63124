// Batch normalisation through oneDNN, with or without a plain ReLU behind it. Bound: bytes; forward reads the
// input twice and writes once, backward reads two tensors twice and writes one. A ReLU adds a bit an element.

#include "cpu/library_kernels.h"
#include "descent/error.h"

#include <algorithm>
#include <cmath>

namespace descent {

namespace {

using Flags = dnnl::normalization_flags;

class BatchNormKernel final : public Kernel {
 public:
  BatchNormKernel(const KernelRequest& request, Layout layout, const Onednn& onednn)
      : onednn_(onednn),
        op_(std::get<BatchNorm>(request.unit.first().op)),
        training_(request.plan.mode == Mode::train),
        channels_(request.output.shape[1]),
        values_a_channel_(request.output.shape.elements() / channels_),
        bytes_(static_cast<double>(request.output.bytes())),
        relu_(request.unit.layers.size() > 1),
        layout_(layout) {
    const auto desc = memory_desc(request.output.shape, request.output.type, layout);
    Flags flags = Flags::use_scale | Flags::use_shift;
    if (!training_) flags |= Flags::use_global_stats;
    if (relu_) flags |= Flags::fuse_norm_relu;
    const dnnl::batch_normalization_forward::primitive_desc forward(
        onednn.engine, training_ ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, desc,
        desc, static_cast<float>(op_.eps), flags, user_scratchpad());
    forward_implementation_ = forward.impl_info_str();
    data_ = unbound(desc, onednn);
    output_ = unbound(desc, onednn);
    mean_ = unbound(forward.mean_desc(), onednn);
    variance_ = unbound(forward.variance_desc(), onednn);
    scale_ = unbound(forward.weights_desc(), onednn);
    shift_ = unbound(forward.weights_desc(), onednn);
    scratchpad_ = unbound(forward.scratchpad_desc(), onednn);
    forward_ = {dnnl::batch_normalization_forward(forward),
                {{DNNL_ARG_SRC, data_},
                 {DNNL_ARG_DST, output_},
                 {DNNL_ARG_MEAN, mean_},
                 {DNNL_ARG_VARIANCE, variance_},
                 {DNNL_ARG_SCALE, scale_},
                 {DNNL_ARG_SHIFT, shift_},
                 {DNNL_ARG_SCRATCHPAD, scratchpad_}}};
    const bool remembers = training_ && relu_;  // where the output is 0
    if (remembers) {
      workspace_ = unbound(forward.workspace_desc(), onednn);
      forward_.arguments.emplace(DNNL_ARG_WORKSPACE, workspace_);
    }
    needs_.output = {request.output.type, layout};
    needs_.inputs = {needs_.output};
    needs_.scratch_bytes = scratchpad_.get_desc().get_size();
    if (!training_) return;

    const dnnl::batch_normalization_backward::primitive_desc backward(
        onednn.engine, dnnl::prop_kind::backward, desc, desc, desc, static_cast<float>(op_.eps), flags, forward,
        user_scratchpad());
    backward_implementation_ = backward.impl_info_str();
    output_gradient_ = unbound(desc, onednn);
    input_gradient_ = unbound(desc, onednn);
    scale_gradient_ = unbound(backward.diff_weights_desc(), onednn);
    shift_gradient_ = unbound(backward.diff_weights_desc(), onednn);
    backward_scratchpad_ = unbound(backward.scratchpad_desc(), onednn);
    backward_ = {dnnl::batch_normalization_backward(backward),
                 {{DNNL_ARG_SRC, data_},
                  {DNNL_ARG_MEAN, mean_},
                  {DNNL_ARG_VARIANCE, variance_},
                  {DNNL_ARG_DIFF_DST, output_gradient_},
                  {DNNL_ARG_SCALE, scale_},
                  {DNNL_ARG_DIFF_SRC, input_gradient_},
                  {DNNL_ARG_DIFF_SCALE, scale_gradient_},
                  {DNNL_ARG_DIFF_SHIFT, shift_gradient_},
                  {DNNL_ARG_SCRATCHPAD, backward_scratchpad_}}};
    needs_.backward_reads_inputs = true;
    workspace_offset_ = 2 * static_cast<std::size_t>(channels_) * sizeof(float);
    workspace_offset_ = (workspace_offset_ + alignment - 1) / alignment * alignment;
    needs_.saved_bytes = workspace_offset_;
    if (remembers) {
      backward_.arguments.emplace(DNNL_ARG_WORKSPACE, workspace_);
      needs_.saved_bytes += workspace_.get_desc().get_size();
    }
    // The primitive always writes the input's gradient: where nobody wants it, into scratch.
    gradient_wanted_ = request.input_gradients.front();
    const std::size_t pad = backward_scratchpad_.get_desc().get_size();
    const std::size_t unwanted = gradient_wanted_ ? 0 : desc.get_size();
    needs_.scratch_bytes = std::max(needs_.scratch_bytes, unwanted + pad);
    pad_offset_ = unwanted;
  }

  [[nodiscard]] bool uses_reference() const {
    return is_reference(forward_implementation_) || is_reference(backward_implementation_);
  }

  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }

  void bind(const Binding& binding) override {
    data_.set_data_handle(binding.inputs.front());
    output_.set_data_handle(binding.output);
    scale_.set_data_handle(binding.parameters[0]);
    shift_.set_data_handle(binding.parameters[1]);
    scratchpad_.set_data_handle(binding.scratch);
    running_mean_ = static_cast<float*>(binding.statistics[0]);
    running_variance_ = static_cast<float*>(binding.statistics[1]);
    if (!training_) {
      mean_.set_data_handle(running_mean_);
      variance_.set_data_handle(running_variance_);
      return;
    }
    batch_mean_ = static_cast<float*>(binding.saved);
    batch_variance_ = batch_mean_ + channels_;
    mean_.set_data_handle(batch_mean_);
    variance_.set_data_handle(batch_variance_);
    if (relu_) workspace_.set_data_handle(static_cast<std::byte*>(binding.saved) + workspace_offset_);
    auto* scratch = static_cast<std::byte*>(binding.scratch);
    output_gradient_.set_data_handle(binding.output_gradient);
    input_gradient_.set_data_handle(gradient_wanted_ ? binding.input_gradients.front() : scratch);
    scale_gradient_.set_data_handle(binding.parameter_gradients[0]);
    shift_gradient_.set_data_handle(binding.parameter_gradients[1]);
    backward_scratchpad_.set_data_handle(scratch + pad_offset_);
  }

  void forward(const StepContext& /*context*/) override {
    forward_.run(onednn_);
    if (!training_) return;
    // The library's variance is the biased one; the running one keeps the unbiased.
    const auto n = static_cast<double>(values_a_channel_);
    const auto take = static_cast<float>(op_.momentum);
    const auto unbias = static_cast<float>(n / std::max(n - 1, 1.0));
    for (std::int64_t c = 0; c < channels_; ++c) {
      running_mean_[c] += take * (batch_mean_[c] - running_mean_[c]);
      running_variance_[c] += take * (unbias * batch_variance_[c] - running_variance_[c]);
    }
  }

  void backward(const StepContext& /*context*/) override { backward_.run(onednn_); }

  [[nodiscard]] OperationReport report_forward() const override {
    return report(relu_ ? "batch_norm forward, activation" : "batch_norm forward", forward_implementation_,
                  training_ ? 3 : 2);
  }
  [[nodiscard]] OperationReport report_backward() const override {
    return report(relu_ ? "batch_norm backward, activation" : "batch_norm backward", backward_implementation_,
                  5);
  }

 private:
  static constexpr std::size_t alignment = 64;

  [[nodiscard]] OperationReport report(std::string operation, const std::string& implementation,
                                       int passes) const {
    OperationReport report;
    report.operation = std::move(operation);
    report.implementation = implementation;
    report.layout = layout_name(layout_);
    report.bytes = passes * bytes_;
    return report;
  }

  Onednn onednn_;
  BatchNorm op_;
  bool training_;
  std::int64_t channels_;
  std::int64_t values_a_channel_;
  double bytes_;  // of a pass
  bool relu_;
  Layout layout_;
  KernelNeeds needs_;
  bool gradient_wanted_ = false;
  std::size_t pad_offset_ = 0;
  std::size_t workspace_offset_ = 0;
  std::string forward_implementation_;
  std::string backward_implementation_;
  dnnl::memory data_, output_, mean_, variance_, scale_, shift_, scratchpad_, workspace_;
  dnnl::memory output_gradient_, input_gradient_, scale_gradient_, shift_gradient_, backward_scratchpad_;
  Call forward_;
  Call backward_;
  float* running_mean_ = nullptr;
  float* running_variance_ = nullptr;
  float* batch_mean_ = nullptr;
  float* batch_variance_ = nullptr;
};

}  // namespace

std::unique_ptr<Kernel> make_batch_norm(const KernelRequest& request, Layout layout, const Onednn& onednn) try {
  auto kernel = std::make_unique<BatchNormKernel>(request, layout, onednn);
  if (kernel->uses_reference()) return nullptr;
  return kernel;
} catch (const dnnl::error&) {
  return nullptr;  // no implementation for this layout
}

}  // namespace descent
