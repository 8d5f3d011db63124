// Kernels that see one element at a time: bound by the bytes that they read and write.
#include "cpu/loop_kernel.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace descent {
namespace {

constexpr std::int64_t grain = 4096;  // elements; less is not worth a thread

// y = min(leaky(x) + shift, most), as numbers of the kernel's type.
struct ReluRule {
  float leak, shift, most, lowest;

  explicit ReluRule(const GeneralRelu& op)
      : leak(static_cast<float>(op.leak)),
        shift(0.0F - static_cast<float>(op.sub)),  // so that −0 + shift is 0
        most(op.maxv ? static_cast<float>(*op.maxv) : std::numeric_limits<float>::infinity()),
        // 0 · −∞ would not be a number.
        lowest(op.leak == 0 ? std::numeric_limits<float>::lowest() : -std::numeric_limits<float>::infinity()) {}

  [[nodiscard]] float before_limit(float x) const {
    const float bounded = x < lowest ? lowest : x;
    return (x > 0 ? x : leak * bounded) + shift;
  }
  [[nodiscard]] float value(float x) const {
    const float y = before_limit(x);
    return y > most ? most : y;  // keeps what is not a number
  }
  [[nodiscard]] float gradient(float x, float dy) const {
    const float slope = x > 0 ? dy : leak * dy;
    return before_limit(x) <= most ? slope : 0.0F;
  }
};

DESCENT_CLONES void relu_forward(ReluRule rule, const float* x, float* y, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) y[i] = rule.value(x[i]);
}

DESCENT_CLONES void relu_backward(ReluRule rule, const float* x, const float* dy, float* dx,
                                  std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) dx[i] = rule.gradient(x[i], dy[i]);
}

DESCENT_CLONES void add(const float* a, const float* b, float* sum, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) sum[i] = a[i] + b[i];
}

class GeneralReluKernel : public LoopKernel {
 public:
  GeneralReluKernel(const KernelRequest& request, Layout layout, const CpuContext& context)
      : rule_(std::get<GeneralRelu>(request.unit.first().op)),
        elements_(request.output.shape.elements()),
        threads_(context.threads) {
    needs_.inputs = {layout};
    needs_.output = layout;
    needs_.backward_reads_inputs = wants_gradient(request);
    needs_.output_is_input = !trains(request) && request.input_is_free;
    const auto count = static_cast<double>(elements_);
    forward_report_ = report(request, "forward", layout, 0, 8 * count);
    if (wants_gradient(request)) backward_report_ = report(request, "backward", layout, 0, 12 * count);
  }

  void forward(const StepContext& /*context*/) override {
    parallel_for(threads_, elements_, grain, [this](std::int64_t begin, std::int64_t end) {
      relu_forward(rule_, input() + begin, output() + begin, end - begin);
    });
  }

  void backward(const StepContext& /*context*/) override {
    if (input_gradient() == nullptr) return;
    parallel_for(threads_, elements_, grain, [this](std::int64_t begin, std::int64_t end) {
      relu_backward(rule_, input() + begin, output_gradient() + begin, input_gradient() + begin, end - begin);
    });
  }

 private:
  ReluRule rule_;
  std::int64_t elements_;
  int threads_;
};

class AddKernel : public LoopKernel {
 public:
  AddKernel(const KernelRequest& request, Layout layout, const CpuContext& context)
      : elements_(request.output.shape.elements()), threads_(context.threads) {
    needs_.inputs = {layout, layout};
    needs_.output = layout;
    needs_.output_is_input = request.input_is_free;
    needs_.gradient_is_shared = true;
    const auto count = static_cast<double>(elements_);
    forward_report_ = report(request, "forward", layout, count, 12 * count);
  }

  void forward(const StepContext& /*context*/) override {
    parallel_for(threads_, elements_, grain, [this](std::int64_t begin, std::int64_t end) {
      add(input(0) + begin, input(1) + begin, output() + begin, end - begin);
    });
  }

 private:
  std::int64_t elements_;
  int threads_;
};

// Any of the branches may share the sum's memory.
class GradientSumKernel : public LoopKernel {
 public:
  GradientSumKernel(const TensorDesc& desc, std::size_t branches, const CpuContext& context)
      : elements_(desc.shape.elements()), threads_(context.threads) {
    needs_.inputs = {desc.layout};
    needs_.output = desc.layout;
    needs_.output_is_input = true;
    const auto count = static_cast<double>(elements_) * static_cast<double>(branches);
    backward_report_ = {"",
                        "gradient sum",
                        "loops",
                        std::string(layout_name(desc.layout)),
                        0,
                        count - static_cast<double>(elements_),
                        4 * (count + static_cast<double>(elements_))};
  }

  void forward(const StepContext& /*context*/) override {}

  void backward(const StepContext& /*context*/) override {
    parallel_for(threads_, elements_, grain, [this](std::int64_t begin, std::int64_t end) {
      std::array<float, 256> sum;
      const auto block = static_cast<std::int64_t>(sum.size());
      for (std::int64_t at = begin; at < end; at += block) {
        const std::int64_t length = std::min(block, end - at);
        const float* first = input_gradient(0) + at;
        for (std::size_t branch = 1; branch < bound_.input_gradients.size(); ++branch) {
          add(first, input_gradient(branch) + at, sum.data(), length);
          first = sum.data();
        }
        std::copy_n(first, length, static_cast<float*>(bound_.output_gradient) + at);
      }
    });
  }

 private:
  std::int64_t elements_;
  int threads_;
};

class FlattenKernel : public LoopKernel {
 public:
  FlattenKernel() {
    needs_.inputs = {Layout::plain};
    needs_.output_is_input = true;
    needs_.gradient_is_shared = true;
  }
  void forward(const StepContext& /*context*/) override {}
};

}  // namespace

std::unique_ptr<Kernel> make_general_relu(const KernelRequest& request, Layout layout,
                                          const CpuContext& context) {
  return std::make_unique<GeneralReluKernel>(request, layout, context);
}

std::unique_ptr<Kernel> make_add(const KernelRequest& request, Layout layout, const CpuContext& context) {
  return std::make_unique<AddKernel>(request, layout, context);
}

std::unique_ptr<Kernel> make_gradient_sum(const TensorDesc& desc, std::size_t branches,
                                          const CpuContext& context) {
  return std::make_unique<GradientSumKernel>(desc, branches, context);
}

std::unique_ptr<Kernel> make_flatten(const KernelRequest& /*request*/) {
  return std::make_unique<FlattenKernel>();
}

}  // namespace descent
