// Folded units by our own loops. The activation is done where the sums are still in registers (pixels; lanes,
// but in the second cache where a residual is added before it), or in a pass of its own (parts: for what has no
// faster code).
// Bound: that of the convolution (conv_pixels.cpp, lanes_gather.cpp): what follows it adds no pass over memory,
// but in the last case, whose pass is bound by bytes. Measured with two threads of a Zen 4 whose peaks are 236
// GFLOP/s in f32 and 473 in bf16, padded taps counted, convnet's answers to 1024: from 16 channels on 1.3 of it
// in f32 and 1.16 to 1.26 in bf16; from 8 channels 0.97 and 0.81; from one 0.45 and 0.20.
#include "cpu/aligned.h"
#include "cpu/conv_pixels.h"
#include "cpu/folded_kernels.h"
#include "cpu/lanes_conv.h"
#include "cpu/loop_kernel.h"
#include "cpu/packed_weights.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "cpu/transpose.h"
#include "descent/error.h"
#include "plan/folded.h"
#include "plan/relu_rule.h"

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

namespace descent {

namespace {

// y = activation(y + residual); both may be null.
DESCENT_CLONES void finish(float* y, const float* residual, const ReluRule* activation, std::int64_t count) {
  if (residual != nullptr) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) y[i] += residual[i];
  }
  if (activation == nullptr) return;
  const ReluRule rule = *activation;
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) y[i] = rule.value(y[i]);
}

std::vector<Format> input_formats(const KernelRequest& request, Format source, Format destination) {
  std::vector<Format> formats{source};
  if (request.inputs.size() > 1) formats.push_back(destination);
  return formats;
}

// What the kernels of folded units share: folding, and what follows the product.
class FoldedKernel : public LoopKernel {
 public:
  FoldedKernel(const KernelRequest& request, Format source, Format destination, const CpuContext& context)
      : context_(context), run_(folded_run(request.unit.layers)), outputs_(request.output.shape[1]) {
    if (run_.activation) activation_.emplace(*run_.activation);
    const Shape weights = parameters_of(run_.product->op, run_.product->input).front().shape;
    weights_ = static_cast<std::size_t>(weights.elements());
    needs_.inputs = input_formats(request, source, destination);
    needs_.output = destination;
    const auto elements = static_cast<double>(request.output.shape.elements());
    const double flops = 2 * elements * static_cast<double>(weights_) / static_cast<double>(outputs_);
    auto bytes = static_cast<double>(weights_ * sizeof(float) + request.output.bytes());
    for (const TensorDesc& input : request.inputs) bytes += static_cast<double>(input.bytes());
    forward_report_ = report(request, "forward", destination.layout, flops, bytes);
    if (source != destination) forward_report_.layout = change_name(source, destination);
  }

 protected:
  // Weights and shifts, folded.
  struct Folded {
    std::vector<float> weights;
    std::vector<float> shifts;
  };
  [[nodiscard]] Folded folded() const {
    Folded result{std::vector<float>(weights_), std::vector<float>(static_cast<std::size_t>(outputs_))};
    fold(channel_rules(run_, bound_, outputs_), {tensor(bound_.parameters, 0), weights_}, result.weights,
         result.shifts);
    return result;
  }
  [[nodiscard]] const ReluRule* activation() const { return activation_ ? &*activation_ : nullptr; }
  [[nodiscard]] const float* residual() const { return run_.adds ? input(1) : nullptr; }

  CpuContext context_;
  FoldedRun run_;
  std::int64_t outputs_;
  std::size_t weights_;
  std::optional<ReluRule> activation_;
};

class FoldedPixels final : public FoldedKernel {
 public:
  FoldedPixels(const KernelRequest& request, Layout source, Layout destination, const CpuContext& context)
      : FoldedKernel(request, {DType::f32, source}, {DType::f32, destination}, context),
        conv_(*run_.conv(), request.inputs.front().shape, source, request.output.shape, destination) {}

  void refresh() override {
    const Folded now = folded();
    conv_.pack(now.weights.data(), now.shifts.data());
  }
  void forward(const StepContext& /*context*/) override {
    conv_.run(context_, input(), residual(), activation(), output());
  }

 private:
  PixelConv conv_;
};

// Reads pictures innermost, or f32 in nchw, which it turns block by block.
template <class Element>
class FoldedLanes final : public FoldedKernel {
 public:
  FoldedLanes(const KernelRequest& request, Format source, const CpuContext& context)
      : FoldedKernel(request, source, LanesElement<Element>::format, context),
        problem_(*run_.conv(), request.inputs.front().shape, request.output.shape, width),
        conv_(LanesGather<Element>::forward(problem_)),
        transposes_(source != LanesElement<Element>::format),
        packed_(conv_),
        shifts_(static_cast<std::size_t>(outputs_) * sizeof(float)) {
    if (!transposes_) return;
    needs_.scratch_bytes =
        static_cast<std::size_t>(std::max(context.threads, 1) * conv_.together() * conv_.x_picture()) *
        sizeof(Element);
  }

  void refresh() override {
    const Folded now = folded();
    packed_.pack(conv_, now.weights.data());
    std::copy(now.shifts.begin(), now.shifts.end(), static_cast<float*>(shifts_.data()));
  }

  void forward(const StepContext& /*context*/) override {
    conv_.for_sets(context_, [this](std::int64_t first, std::int64_t blocks, std::int64_t slot) {
      run_blocks(first, blocks, slot);
    });
  }

 private:
  static constexpr std::int64_t width = LanesElement<Element>::pictures;

  // Blocks from `first` on as the convolution reads them.
  [[nodiscard]] const Element* pictures(std::int64_t first, std::int64_t blocks, std::int64_t slot) const {
    if (!transposes_) return input<Element>() + first * conv_.x_picture();
    auto* const turned = static_cast<Element*>(bound_.scratch) + slot * conv_.together() * conv_.x_picture();
    for (std::int64_t block = 0; block < blocks; ++block) {
      const std::int64_t at = block * conv_.x_picture();
      pictures_to_lanes(input() + first * conv_.x_picture() + at, turned + at, conv_.x_picture() / width);
    }
    return turned;
  }

  void run_blocks(std::int64_t first, std::int64_t blocks, std::int64_t slot) const {
    const std::int64_t at = first * conv_.y_picture();
    Element* const y = output<Element>() + at;
    conv_.run(pictures(first, blocks, slot), conv_.x_picture(), packed_.data(),
              static_cast<const float*>(shifts_.data()), y, conv_.y_picture(), blocks,
              run_.adds ? nullptr : activation());
    if constexpr (std::is_same_v<Element, float>) {
      if (run_.adds) finish(y, residual() + at, activation(), blocks * conv_.y_picture());
    }
  }

  LanesProblem problem_;
  LanesGather<Element> conv_;
  bool transposes_;
  PackedWeights<Element> packed_;
  AlignedBytes shifts_;
};

// The product as a unit of its own.
struct ProductUnit {
  Layer layer;
  Unit unit;

  explicit ProductUnit(const KernelRequest& request) : layer(*folded_run(request.unit.layers).product) {
    std::visit(Overloaded{[](Conv& op) { op.bias = true; }, [](Linear& op) { op.bias = true; },
                          [](const auto& /*other*/) {}},
               layer.op);
    unit = {{&layer}, {request.unit.indices.front()}, {request.unit.inputs.front()}, request.unit.output};
  }
  ProductUnit(const ProductUnit&) = delete;
  ProductUnit& operator=(const ProductUnit&) = delete;

  [[nodiscard]] KernelRequest of(const KernelRequest& request) const {
    return {unit, request.plan, {request.inputs.front()}, request.output, {false}, {false}};
  }
};

class FoldedParts final : public FoldedKernel {
 public:
  FoldedParts(const KernelRequest& request, Layout layout, const MakeProduct& make_product,
              const CpuContext& context)
      : FoldedKernel(request, {DType::f32, layout}, {DType::f32, layout}, context),
        elements_(request.output.shape.elements()),
        product_unit_(request),
        product_(make_product(product_unit_.of(request))),
        folded_weights_(weights_ * sizeof(float)),
        shifts_(static_cast<std::size_t>(outputs_) * sizeof(float)) {
    needs_.scratch_bytes = product_->needs().scratch_bytes;
    forward_report_.implementation = product_->report_forward().implementation + ", loops";
  }

  void bind(const Binding& binding) override {
    LoopKernel::bind(binding);
    Binding of_product;
    of_product.inputs = {binding.inputs.front()};
    of_product.output = binding.output;
    of_product.input_gradients = {nullptr};
    of_product.scratch = binding.scratch;
    of_product.parameters = {folded_weights_.data(), shifts_.data()};
    product_->bind(of_product);
  }

  void refresh() override {
    const Folded now = folded();
    std::copy(now.weights.begin(), now.weights.end(), static_cast<float*>(folded_weights_.data()));
    std::copy(now.shifts.begin(), now.shifts.end(), static_cast<float*>(shifts_.data()));
    product_->refresh();
  }

  void forward(const StepContext& context) override {
    constexpr std::int64_t grain = 4096;  // elements; less is not worth a thread
    product_->forward(context);
    if (!run_.adds && !run_.activation) return;
    parallel_for(context_.threads, elements_, grain, [this](std::int64_t begin, std::int64_t end) {
      finish(output() + begin, run_.adds ? residual() + begin : nullptr, activation(), end - begin);
    });
  }

 private:
  std::int64_t elements_;
  ProductUnit product_unit_;
  std::unique_ptr<Kernel> product_;
  AlignedBytes folded_weights_;
  AlignedBytes shifts_;
};

}  // namespace

std::unique_ptr<Kernel> make_folded_pixels(const KernelRequest& request, Layout source, Layout destination,
                                           const CpuContext& context) {
  return std::make_unique<FoldedPixels>(request, source, destination, context);
}

std::unique_ptr<Kernel> make_folded_lanes(const KernelRequest& request, Format source,
                                          const CpuContext& context) {
  if (request.output.type == DType::bf16) {
    if (folded_run(request.unit.layers).adds)
      throw Error("no kernel adds a residual in bf16 lanes", Fault::failure);
    return std::make_unique<FoldedLanes<Bf16>>(request, source, context);
  }
  return std::make_unique<FoldedLanes<float>>(request, source, context);
}

std::unique_ptr<Kernel> make_folded_parts(const KernelRequest& request, Layout layout,
                                          const MakeProduct& make_product, const CpuContext& context) {
  return std::make_unique<FoldedParts>(request, layout, make_product, context);
}

}  // namespace descent
