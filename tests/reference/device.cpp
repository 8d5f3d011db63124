#include "reference/device.h"

#include "plan/kernel.h"
#include "reference/kernels.h"
#include "reference/seen_pixel.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <vector>

namespace descent::reference {

namespace {

class ReferenceFactory final : public KernelFactory {
 public:
  [[nodiscard]] std::size_t claim(std::span<const Layer* const> /*run*/,
                                  const PlanRequest& /*request*/) const override {
    return 1;
  }
  void consider(std::span<const KernelRequest> /*requests*/) override {}

  [[nodiscard]] std::unique_ptr<Kernel> prepare(const KernelRequest& request) override {
    return std::visit(
        Overloaded{
            [&](const Conv& op) { return make_conv(request, op); },
            [&](const Linear& op) { return make_linear(request, op); },
            [&](const BatchNorm& op) { return make_batch_norm(request, op); },
            [&](const GeneralRelu& op) { return make_general_relu(request, op); },
            [&](const Dropout& op) { return make_dropout(request, op); },
            [&](const AvgPool& op) { return make_avg_pool(request, op); },
            [&](const MaxPool& op) { return make_max_pool(request, op); },
            [&](const GlobalAvgPool& /*op*/) { return make_global_avg_pool(request); },
            [&](const Add& /*op*/) { return make_add(request); },
            [&](const Flatten& /*op*/) { return make_flatten(request); },
            [&](const SoftmaxCrossEntropy& /*op*/) { return make_softmax_cross_entropy(request); },
        },
        request.unit.first().op);
  }

  [[nodiscard]] DType port_type() const override { return DType::f64; }
  [[nodiscard]] bool same_bytes(const TensorDesc& desc, Format other) const override {
    return desc.format() == other;
  }
  [[nodiscard]] std::unique_ptr<Kernel> prepare_reorder(const TensorDesc& /*from*/, Format /*to*/,
                                                        bool /*gradient*/) override {
    throw std::logic_error("the reference knows one format and never asks for a reorder");
  }
  [[nodiscard]] std::unique_ptr<Kernel> prepare_gradient_sum(const TensorDesc& desc, std::size_t branches,
                                                             Kernel* /*writer*/) override {
    return make_gradient_sum(desc, branches);
  }

  [[nodiscard]] bool loads_into(const TensorDesc& input) const override {
    return input.layout == Layout::plain;
  }
  void load(const PictureSource& source, const PictureBatch& batch, const Tensor& input,
            const Tensor* targets) override {
    auto* x = static_cast<double*>(input.data);
    for (std::size_t n = 0; n < batch.indices.size(); ++n) {
      const PictureView view = batch.views.empty() ? PictureView{} : batch.views[n];
      for (std::int64_t channel = 0; channel < source.shape[0]; ++channel)
        for (std::int64_t row = 0; row < source.shape[1]; ++row)
          for (std::int64_t column = 0; column < source.shape[2]; ++column)
            *x++ = seen_pixel(source, batch.indices[n], view, channel, row, column);
    }
    if (targets == nullptr) return;
    const std::span<const std::uint32_t> indices = batch.indices;
    const auto classes = static_cast<std::size_t>(targets->desc.shape[1]);
    auto* t = static_cast<double*>(targets->data);
    for (std::size_t i = 0; i < indices.size() * classes; ++i)
      t[i] = source.labels[indices[i / classes]] == static_cast<std::int32_t>(i % classes) ? 1 : 0;
  }
};

void require_double(DType type) {
  if (type != DType::f64) throw std::logic_error("the reference holds nothing but f64");
}

}  // namespace

Buffer ReferenceDevice::allocate(std::size_t bytes) {
  constexpr std::size_t alignment = 64;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* data = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (data == nullptr) throw std::bad_alloc();
  std::memset(data, 0, rounded);
  return Buffer(data, bytes, [](void* block) noexcept { std::free(block); });
}

void ReferenceDevice::upload(void* to, DType type, std::span<const float> from) {
  require_double(type);
  std::copy(from.begin(), from.end(), static_cast<double*>(to));
}

void ReferenceDevice::download(std::span<float> to, const void* from, DType type) {
  require_double(type);
  std::transform(static_cast<const double*>(from), static_cast<const double*>(from) + to.size(), to.begin(),
                 [](double value) { return static_cast<float>(value); });
}

void ReferenceDevice::copy(void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}

// As PyTorch's mean(), std() and histc() of the absolute values define it, value by value.
void ReferenceDevice::summarise(const Values& values, bool histogram, Summary& result) {
  require_double(values.type);
  std::vector<double> all(values.count);
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = static_cast<const double*>(values.values)[i];
    if (values.minus != nullptr) all[i] -= static_cast<const double*>(values.minus)[i];
  }
  result = {};
  result.count = static_cast<std::int64_t>(all.size());
  for (const double value : all) result.mean += value / static_cast<double>(all.size());
  for (const double value : all) result.squared_deviations += (value - result.mean) * (value - result.mean);
  if (!histogram) return;
  for (const double value : all) {
    for (std::size_t bin = 0; bin < Summary::bins; ++bin) {
      const double low = Summary::bin_width * static_cast<double>(bin);
      const bool last = bin + 1 == Summary::bins;
      const double size = std::abs(value);
      if (size >= low && (size < low + Summary::bin_width || (last && size == low + Summary::bin_width)))
        ++result.histogram[bin];
    }
  }
}

std::unique_ptr<Plan> ReferenceDevice::prepare(const Network& network, const PlanRequest& request,
                                               ParameterStore& store) {
  return assemble(*this, std::make_shared<ReferenceFactory>(), network, request, store);
}

}  // namespace descent::reference
