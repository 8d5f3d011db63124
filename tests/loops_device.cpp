#include "loops_device.h"

#include "cpu/blocking.h"
#include "cpu/kernels.h"
#include "cpu/update.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

namespace descent::test {
namespace {

// Index in memory of each element, in plain order.
std::vector<std::size_t> order(const Shape& shape, Layout layout) {
  const Blocking blocking(shape, layout);
  std::vector<std::size_t> places;
  for (std::int64_t n = 0; n < blocking.pictures; ++n) {
    for (std::int64_t c = 0; c < blocking.channels(); ++c) {
      for (std::int64_t cell = 0; cell < blocking.cells(); ++cell) {
        const std::int64_t slice = n * blocking.groups + c / blocking.inner;
        const std::int64_t place = (slice * blocking.cells() + cell) * blocking.inner + c % blocking.inner;
        places.push_back(static_cast<std::size_t>(place));
      }
    }
  }
  return places;
}

class NaiveReorder final : public Kernel {
 public:
  NaiveReorder(const TensorDesc& desc, Layout from, Layout to)
      : from_(order(desc.shape, from)), to_(order(desc.shape, to)) {
    needs_.inputs = {from};
    needs_.output = to;
  }
  [[nodiscard]] const KernelNeeds& needs() const override { return needs_; }
  void bind(const Binding& binding) override { binding_ = binding; }
  void forward(const StepContext& /*context*/) override {
    const auto* const x = static_cast<const float*>(binding_.inputs.at(0));
    auto* const y = static_cast<float*>(binding_.output);
    for (std::size_t i = 0; i < from_.size(); ++i) y[to_[i]] = x[from_[i]];
  }
  void backward(const StepContext& /*context*/) override {
    auto* const dx = static_cast<float*>(binding_.input_gradients.at(0));
    const auto* const dy = static_cast<const float*>(binding_.output_gradient);
    if (dx == nullptr) return;
    for (std::size_t i = 0; i < from_.size(); ++i) dx[from_[i]] = dy[to_[i]];
  }
  [[nodiscard]] OperationReport report_forward() const override { return {}; }

 private:
  std::vector<std::size_t> from_;
  std::vector<std::size_t> to_;
  KernelNeeds needs_;
  Binding binding_;
};

class LoopsFactory final : public KernelFactory {
 public:
  LoopsFactory(Layout layout, int threads) : layout_(layout), context_{threads} {}

  [[nodiscard]] std::size_t claim(std::span<const Layer* const> /*run*/,
                                  const PlanRequest& /*request*/) const override {
    return 1;
  }
  void consider(std::span<const KernelRequest> /*requests*/) override {}

  [[nodiscard]] std::unique_ptr<Kernel> prepare(const KernelRequest& request) override {
    const Layout layout = layout_for(request);
    return std::visit(
        Overloaded{
            [&](const Conv& /*op*/) { return make_conv_loops(request, context_); },
            [&](const Linear& /*op*/) -> std::unique_ptr<Kernel> {
              throw std::logic_error("there are no loops for linear layers");
            },
            [&](const BatchNorm& /*op*/) { return make_batch_norm_loops(request, layout, context_); },
            [&](const GeneralRelu& /*op*/) { return make_general_relu(request, layout, context_); },
            [&](const Dropout& /*op*/) { return make_dropout(request, context_); },
            [&](const AvgPool& /*op*/) { return make_avg_pool(request, layout, context_); },
            [&](const MaxPool& /*op*/) { return make_max_pool(request, layout, context_); },
            [&](const GlobalAvgPool& /*op*/) { return make_global_avg_pool(request, layout, context_); },
            [&](const Add& /*op*/) { return make_add(request, layout, context_); },
            [&](const Flatten& /*op*/) { return make_flatten(request); },
            [&](const SoftmaxCrossEntropy& /*op*/) { return make_softmax_cross_entropy(request, context_); },
        },
        request.unit.first().op);
  }

  [[nodiscard]] DType activation_type(const PlanRequest& /*request*/) const override { return DType::f32; }
  [[nodiscard]] bool same_order(const TensorDesc& /*desc*/, Layout a, Layout b) const override {
    return a == b;
  }
  [[nodiscard]] std::unique_ptr<Kernel> prepare_reorder(const TensorDesc& desc, Layout from, Layout to,
                                                        bool /*gradient*/) override {
    return std::make_unique<NaiveReorder>(desc, from, to);
  }
  [[nodiscard]] std::unique_ptr<Kernel> prepare_gradient_sum(const TensorDesc& desc,
                                                             std::size_t branches) override {
    return make_gradient_sum(desc, branches, context_);
  }
  void load(const PictureSource& source, std::span<const std::uint32_t> indices, const Tensor& input,
            const Tensor* targets) override {
    load_pictures(context_, source, indices, input, targets);
  }

 private:
  [[nodiscard]] Layout layout_for(const KernelRequest& request) const {
    const Shape& shape = request.inputs[0].shape;
    const std::int64_t block = layout_ == nchw8c ? 8 : layout_ == nchw16c ? 16 : 1;
    return shape.rank() == 4 && shape[1] % block == 0 ? layout_ : Layout::plain;
  }

  Layout layout_;
  CpuContext context_;
};

}  // namespace

bool LoopsDevice::supports(const Network& network) {
  return std::none_of(network.layers.begin(), network.layers.end(),
                      [](const Layer& layer) { return std::holds_alternative<Linear>(layer.op); });
}

Buffer LoopsDevice::allocate(std::size_t bytes) {
  constexpr std::size_t alignment = 64;
  const std::size_t rounded = std::max<std::size_t>((bytes + alignment - 1) / alignment, 1) * alignment;
  void* const data = std::aligned_alloc(alignment, rounded);
  if (data == nullptr) throw std::bad_alloc();
  std::memset(data, 0, rounded);
  return {data, bytes, [](void* block) noexcept { std::free(block); }};
}

void LoopsDevice::upload(void* to, DType /*type*/, std::span<const float> from) {
  std::copy(from.begin(), from.end(), static_cast<float*>(to));
}

void LoopsDevice::download(std::span<float> to, const void* from, DType /*type*/) {
  std::copy_n(static_cast<const float*>(from), to.size(), to.begin());
}

std::unique_ptr<Plan> LoopsDevice::prepare(const Network& network, const PlanRequest& request,
                                           ParameterStore& store) {
  return assemble(*this, std::make_shared<LoopsFactory>(layout_, threads_), network, request, store);
}

void LoopsDevice::update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) {
  ++state.step;
  const FlatBuffers buffers{
      static_cast<float*>(store.values().data()), static_cast<const float*>(store.gradients().data()),
      static_cast<float*>(state.values().data()), store.layout().trained_elements, state.step};
  update_flat({threads_}, buffers, request);
  store.mark_changed();
}

}  // namespace descent::test
