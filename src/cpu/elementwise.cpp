// Kernels that see one element at a time: bound by the bytes that they read and write. Measured with two
// threads of a Zen 4 in steps of ResNets, where copies reach 185 GB/s in cache and 77 in memory: addition with
// activation 16 to 50 forward, 50 to 106 backward, sums of gradients 36 to 73.
#include "cpu/loop_kernel.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "plan/element.h"
#include "plan/relu_rule.h"

#include <algorithm>
#include <array>
#include <utility>

namespace descent {
namespace {

constexpr std::int64_t grain = 4096;  // elements; less is not worth a thread

template <class Element>
DESCENT_CLONES void relu_forward(ReluRule rule, const Element* x, Element* y, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) y[i] = to_element<Element>(rule.value(to_f32(x[i])));
}

template <class Element>
DESCENT_CLONES void relu_backward(ReluRule rule, const Element* x, const Element* dy, Element* dx,
                                  std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    dx[i] = to_element<Element>(rule.gradient(to_f32(x[i]), to_f32(dy[i])));
  }
}

template <class A, class B, class Sum>
DESCENT_CLONES void add(const A* a, const B* b, Sum* sum, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) sum[i] = to_element<Sum>(to_f32(a[i]) + to_f32(b[i]));
}

// What a gradient is multiplied with, a byte an element: a quarter of what keeping the sum would cost.
enum class Slope : std::uint8_t { none, leak, one };

template <class Element>
DESCENT_CLONES void add_relu_forward(ReluRule rule, const Element* a, const Element* b, Element* y,
                                     Slope* slopes, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float sum = to_f32(a[i]) + to_f32(b[i]);
    y[i] = to_element<Element>(rule.value(sum));
    const Slope slope = sum > 0 ? Slope::one : Slope::leak;
    slopes[i] = rule.before_limit(sum) <= rule.most ? slope : Slope::none;
  }
}

template <class Element>
DESCENT_CLONES void add_relu_infer(ReluRule rule, const Element* a, const Element* b, Element* y,
                                   std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) y[i] = to_element<Element>(rule.value(to_f32(a[i]) + to_f32(b[i])));
}

template <class Element>
DESCENT_CLONES void add_relu_backward(float leak, const Slope* slopes, const Element* dy, Element* dx,
                                      std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float slope = to_f32(dy[i]);
    const float leaky = slopes[i] == Slope::leak ? leak * slope : 0.0F;
    dx[i] = to_element<Element>(slopes[i] == Slope::one ? slope : leaky);
  }
}

template <class Element>
class GeneralReluKernel : public LoopKernel {
 public:
  GeneralReluKernel(const KernelRequest& request, Layout layout, const CpuContext& context)
      : rule_(std::get<GeneralRelu>(request.unit.first().op)),
        elements_(request.output.shape.elements()),
        threads_(context.threads) {
    needs_.output = {request.output.type, layout};
    needs_.inputs = {needs_.output};
    needs_.backward_reads_inputs = wants_gradient(request);
    needs_.output_is_input = !trains(request) && request.input_is_free;
    const auto bytes = static_cast<double>(request.output.bytes());
    forward_report_ = report(request, "forward", layout, 0, 2 * bytes);
    if (wants_gradient(request)) backward_report_ = report(request, "backward", layout, 0, 3 * bytes);
  }

  void forward(const StepContext& /*context*/) override {
    parallel_for(threads_, elements_, grain, [this](std::int64_t begin, std::int64_t end) {
      relu_forward(rule_, input<Element>() + begin, output<Element>() + begin, end - begin);
    });
  }

  void backward(const StepContext& /*context*/) override {
    if (input_gradient<Element>() == nullptr) return;
    parallel_for(threads_, elements_, grain, [this](std::int64_t begin, std::int64_t end) {
      relu_backward(rule_, input<Element>() + begin, output_gradient<Element>() + begin,
                    input_gradient<Element>() + begin, end - begin);
    });
  }

 private:
  ReluRule rule_;
  std::int64_t elements_;
  int threads_;
};

template <class Element>
class AddKernel : public LoopKernel {
 public:
  AddKernel(const KernelRequest& request, Layout layout, const CpuContext& context)
      : elements_(request.output.shape.elements()), threads_(context.threads) {
    needs_.output = {request.output.type, layout};
    needs_.inputs.assign(2, needs_.output);
    needs_.output_is_input = request.input_is_free;
    needs_.gradient_is_shared = true;
    const auto count = static_cast<double>(elements_);
    forward_report_ =
        report(request, "forward", layout, count, 3 * static_cast<double>(request.output.bytes()));
  }

  void forward(const StepContext& /*context*/) override {
    parallel_for(threads_, elements_, grain, [this](std::int64_t begin, std::int64_t end) {
      add(input<Element>(0) + begin, input<Element>(1) + begin, output<Element>() + begin, end - begin);
    });
  }

 private:
  std::int64_t elements_;
  int threads_;
};

// Both inputs have the same gradient, the sum's.
template <class Element>
class AddReluKernel : public LoopKernel {
 public:
  AddReluKernel(const KernelRequest& request, Layout layout, const CpuContext& context)
      : rule_(std::get<GeneralRelu>(request.unit.last().op)),
        elements_(request.output.shape.elements()),
        trains_(trains(request)),
        threads_(context.threads) {
    needs_.output = {request.output.type, layout};
    needs_.inputs.assign(2, needs_.output);
    const auto count = static_cast<double>(elements_);
    const auto bytes = static_cast<double>(request.output.bytes());
    forward_report_ = report(request, "forward, activation", layout, count, 3 * bytes + (trains_ ? count : 0));
    needs_.output_is_input = request.input_is_free;
    if (!trains_) return;
    needs_.saved_bytes = static_cast<std::size_t>(elements_) * sizeof(Slope);
    needs_.gradients_are_one = true;
    backward_report_ = report(request, "backward, activation", layout, 0, 2 * bytes + count);
  }

  void forward(const StepContext& /*context*/) override {
    parallel_for(threads_, elements_, grain, [this](std::int64_t begin, std::int64_t end) {
      const Element* const a = input<Element>(0) + begin;
      const Element* const b = input<Element>(1) + begin;
      Element* const y = output<Element>() + begin;
      if (trains_) return add_relu_forward(rule_, a, b, y, slopes() + begin, end - begin);
      add_relu_infer(rule_, a, b, y, end - begin);
    });
  }

  void backward(const StepContext& /*context*/) override {
    auto* const first = input_gradient<Element>(0);
    Element* const gradient = first != nullptr ? first : input_gradient<Element>(1);
    if (gradient == nullptr) return;
    parallel_for(threads_, elements_, grain, [&, this](std::int64_t begin, std::int64_t end) {
      add_relu_backward(rule_.leak, slopes() + begin, output_gradient<Element>() + begin, gradient + begin,
                        end - begin);
    });
  }

 private:
  [[nodiscard]] Slope* slopes() const { return static_cast<Slope*>(bound_.saved); }

  ReluRule rule_;
  std::int64_t elements_;
  bool trains_;
  int threads_;
};

// Any of the branches may share the sum's memory. What is summed is rounded once, at the end.
template <class Element>
class GradientSumKernel : public LoopKernel {
 public:
  GradientSumKernel(const TensorDesc& desc, std::size_t branches, const CpuContext& context)
      : elements_(desc.shape.elements()), threads_(context.threads) {
    needs_.inputs = {desc.format()};
    needs_.output = desc.format();
    needs_.output_is_input = true;
    const auto count = static_cast<double>(elements_) * static_cast<double>(branches);
    backward_report_ = {"",
                        "gradient sum",
                        "loops",
                        format_name(desc.format()),
                        0,
                        count - static_cast<double>(elements_),
                        static_cast<double>(size_of(desc.type)) * (count + static_cast<double>(elements_))};
  }

  void forward(const StepContext& /*context*/) override {}

  void backward(const StepContext& /*context*/) override {
    parallel_for(threads_, elements_, grain, [this](std::int64_t begin, std::int64_t end) {
      std::array<float, 256> sum;
      const auto block = static_cast<std::int64_t>(sum.size());
      for (std::int64_t at = begin; at < end; at += block) {
        const std::int64_t length = std::min(block, end - at);
        Element* const total = static_cast<Element*>(bound_.output_gradient) + at;
        const std::size_t last = bound_.input_gradients.size() - 1;
        if (last == 1) {
          add(input_gradient<Element>(0) + at, input_gradient<Element>(1) + at, total, length);
          continue;
        }
        add(input_gradient<Element>(0) + at, input_gradient<Element>(1) + at, sum.data(), length);
        for (std::size_t branch = 2; branch < last; ++branch) {
          add(sum.data(), input_gradient<Element>(branch) + at, sum.data(), length);
        }
        add(sum.data(), input_gradient<Element>(last) + at, total, length);
      }
    });
  }

 private:
  std::int64_t elements_;
  int threads_;
};

class FlattenKernel : public LoopKernel {
 public:
  explicit FlattenKernel(const KernelRequest& request) {
    needs_.output = request.output.format();
    needs_.inputs = {needs_.output};
    needs_.output_is_input = true;
    needs_.gradient_is_shared = true;
  }
  void forward(const StepContext& /*context*/) override {}
};

}  // namespace

std::unique_ptr<Kernel> make_general_relu(const KernelRequest& request, Layout layout,
                                          const CpuContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<GeneralReluKernel<Element>>(request, layout, context);
  });
}

std::unique_ptr<Kernel> make_add(const KernelRequest& request, Layout layout, const CpuContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<AddKernel<Element>>(request, layout, context);
  });
}

std::unique_ptr<Kernel> make_add_relu(const KernelRequest& request, Layout layout, const CpuContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<AddReluKernel<Element>>(request, layout, context);
  });
}

std::unique_ptr<Kernel> make_gradient_sum(const TensorDesc& desc, std::size_t branches,
                                          const CpuContext& context) {
  return with_element(desc.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<GradientSumKernel<Element>>(desc, branches, context);
  });
}

std::unique_ptr<Kernel> make_flatten(const KernelRequest& request) {
  return std::make_unique<FlattenKernel>(request);
}

}  // namespace descent
