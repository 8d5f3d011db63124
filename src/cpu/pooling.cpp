// Pooling. A thread owns rows of what it writes: rows of the output forward, rows of the input's gradient
// backward, which are gathered from all windows over them. So threads never write the same element, and
// every sum has one order.
// Bound: bytes for averages; for maxima the comparisons, four bytes of which place won beside each output.
// Measured with two threads of a Zen 4, where copies in cache reach 185 GB/s: averages of 2×2 windows 21 to 58
// forward, 20 to 45 backward, 2 % of resnet's step of 256; global ones 43 to 52; maxima of 3×3 windows 18 to 25
// forward, 15 to 21 backward, 1 % of resnet18's step.
#include "cpu/blocking.h"
#include "cpu/lanes.h"
#include "cpu/loop_kernel.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "plan/element.h"
#include "plan/pool_window.h"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <vector>

namespace descent {
namespace {

using Span = PoolSpan<std::int64_t>;
using Window = PoolWindow<std::int64_t>;

struct Geometry {
  Window rows, columns;
  std::int64_t inner;
  // columns.over() of each column: a cell of sixteen numbers takes less time than the divisions that find it.
  std::vector<Span> over_columns;

  // Position of a cell in its window, which max pooling keeps.
  [[nodiscard]] std::int32_t place(std::int64_t oh, std::int64_t ow, std::int64_t h, std::int64_t w) const {
    const std::int64_t row = h - (oh * rows.stride - rows.padding);
    const std::int64_t column = w - (ow * columns.stride - columns.padding);
    return static_cast<std::int32_t>(row * columns.kernel + column);
  }
};

// Neighbours along `inner` whose sums are kept in f32 until they are written.
constexpr std::int64_t strip = 64;
using Strip = std::array<float, static_cast<std::size_t>(strip)>;

// Calls f(first, count) for the strips of `inner`. A count that the compiler knows saves what a short loop
// costs to begin and end: with sixteen pictures innermost, most of the time.
template <class Function>
[[gnu::always_inline]] inline void for_strips(std::int64_t inner, Function&& f) {
  if (inner == lanes) return f(std::int64_t{0}, std::integral_constant<std::int64_t, lanes>{});
  if (inner == bf16_lanes) return f(std::int64_t{0}, std::integral_constant<std::int64_t, bf16_lanes>{});
  for (std::int64_t first = 0; first < inner; first += strip) f(first, std::min(strip, inner - first));
}

// Each loop below computes rows [begin, end), numbered through all slices.

template <class Element>
DESCENT_CLONES void average_forward(const Geometry& g, const Element* input, Element* output,
                                    std::int64_t begin, std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) {
    const Element* const slice = input + row / g.rows.out * g.rows.in * g.columns.in * g.inner;
    const std::int64_t oh = row % g.rows.out;
    const Span hs = g.rows.under(oh);
    for (std::int64_t ow = 0; ow < g.columns.out; ++ow) {
      Element* const to = output + (row * g.columns.out + ow) * g.inner;
      const Span ws = g.columns.under(ow);
      const std::int64_t cells = std::max<std::int64_t>(g.rows.cells(oh) * g.columns.cells(ow), 1);
      const float share = 1 / static_cast<float>(cells);
      for_strips(g.inner, [&](std::int64_t first, auto count) {
        Strip sum;
        std::fill_n(sum.data(), count, 0.0F);
        for (std::int64_t h = hs.begin; h < hs.end; ++h) {
          for (std::int64_t w = ws.begin; w < ws.end; ++w) {
            const Element* const from = slice + (h * g.columns.in + w) * g.inner + first;
#pragma omp simd
            for (std::int64_t i = 0; i < count; ++i) sum.data()[i] += to_f32(from[i]);
          }
        }
#pragma omp simd
        for (std::int64_t i = 0; i < count; ++i) to[first + i] = to_element<Element>(sum.data()[i] * share);
      });
    }
  }
}

template <class Element>
DESCENT_CLONES void average_backward(const Geometry& g, const Element* output_gradient, Element* input_gradient,
                                     std::int64_t begin, std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) {
    const Element* const slice = output_gradient + row / g.rows.in * g.rows.out * g.columns.out * g.inner;
    const Span ohs = g.rows.over(row % g.rows.in);
    for (std::int64_t w = 0; w < g.columns.in; ++w) {
      Element* const to = input_gradient + (row * g.columns.in + w) * g.inner;
      const Span ows = g.over_columns[static_cast<std::size_t>(w)];
      for_strips(g.inner, [&](std::int64_t first, auto count) {
        Strip sum;
        std::fill_n(sum.data(), count, 0.0F);
        for (std::int64_t oh = ohs.begin; oh < ohs.end; ++oh) {
          for (std::int64_t ow = ows.begin; ow < ows.end; ++ow) {
            const Element* const from = slice + (oh * g.columns.out + ow) * g.inner + first;
            const float share = 1 / static_cast<float>(g.rows.cells(oh) * g.columns.cells(ow));
#pragma omp simd
            for (std::int64_t i = 0; i < count; ++i) sum.data()[i] += to_f32(from[i]) * share;
          }
        }
#pragma omp simd
        for (std::int64_t i = 0; i < count; ++i) to[first + i] = to_element<Element>(sum.data()[i]);
      });
    }
  }
}

// What is not a number stays seen. `kept` may be null.
template <class Element>
[[gnu::always_inline]] inline void take_larger(const Element* from, float* most, std::int32_t* kept,
                                               std::int32_t place, std::int64_t count) {
  if (kept == nullptr) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = to_f32(from[i]);
      const bool better = value > most[i] || value != value;
      most[i] = better ? value : most[i];
    }
    return;
  }
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = to_f32(from[i]);
    const bool better = value > most[i] || value != value;
    most[i] = better ? value : most[i];
    kept[i] = better ? place : kept[i];
  }
}

// `places` is null where no gradient will be asked for.
template <class Element>
DESCENT_CLONES void maximum_forward(const Geometry& g, const Element* input, Element* output,
                                    std::int32_t* places, std::int64_t begin, std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) {
    const Element* const slice = input + row / g.rows.out * g.rows.in * g.columns.in * g.inner;
    const std::int64_t oh = row % g.rows.out;
    const Span hs = g.rows.under(oh);
    for (std::int64_t ow = 0; ow < g.columns.out; ++ow) {
      const std::int64_t cell = (row * g.columns.out + ow) * g.inner;
      Element* const to = output + cell;
      std::int32_t* const kept = places == nullptr ? nullptr : places + cell;
      const Span ws = g.columns.under(ow);
      // A window full of −∞ has its maximum in its first cell.
      if (kept != nullptr) std::fill_n(kept, g.inner, g.place(oh, ow, hs.begin, ws.begin));
      for_strips(g.inner, [&](std::int64_t first, auto count) {
        Strip most;
        std::fill_n(most.data(), count, -std::numeric_limits<float>::infinity());
        for (std::int64_t h = hs.begin; h < hs.end; ++h) {
          for (std::int64_t w = ws.begin; w < ws.end; ++w) {
            const Element* const from = slice + (h * g.columns.in + w) * g.inner + first;
            const std::int32_t place = g.place(oh, ow, h, w);
            take_larger(from, most.data(), kept == nullptr ? nullptr : kept + first, place, count);
          }
        }
#pragma omp simd
        for (std::int64_t i = 0; i < count; ++i) to[first + i] = to_element<Element>(most.data()[i]);
      });
    }
  }
}

template <class Element>
DESCENT_CLONES void maximum_backward(const Geometry& g, const Element* output_gradient,
                                     const std::int32_t* places, Element* input_gradient, std::int64_t begin,
                                     std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int64_t slice = row / g.rows.in * g.rows.out * g.columns.out * g.inner;
    const std::int64_t h = row % g.rows.in;
    const Span ohs = g.rows.over(h);
    for (std::int64_t w = 0; w < g.columns.in; ++w) {
      Element* const to = input_gradient + (row * g.columns.in + w) * g.inner;
      const Span ows = g.over_columns[static_cast<std::size_t>(w)];
      for_strips(g.inner, [&](std::int64_t first, auto count) {
        Strip sum;
        std::fill_n(sum.data(), count, 0.0F);
        for (std::int64_t oh = ohs.begin; oh < ohs.end; ++oh) {
          for (std::int64_t ow = ows.begin; ow < ows.end; ++ow) {
            const std::int64_t cell = slice + (oh * g.columns.out + ow) * g.inner + first;
            const Element* const from = output_gradient + cell;
            const std::int32_t* const kept = places + cell;
            const std::int32_t place = g.place(oh, ow, h, w);
#pragma omp simd
            for (std::int64_t i = 0; i < count; ++i) sum.data()[i] += kept[i] == place ? to_f32(from[i]) : 0.0F;
          }
        }
#pragma omp simd
        for (std::int64_t i = 0; i < count; ++i) to[first + i] = to_element<Element>(sum.data()[i]);
      });
    }
  }
}

template <class Pool>
Geometry geometry_of(const Pool& op, const Blocking& in, const Blocking& out) {
  Geometry g{{op.kernel.height, op.stride.height, op.padding.height, in.height, out.height},
             {op.kernel.width, op.stride.width, op.padding.width, in.width, out.width},
             in.inner,
             {}};
  for (std::int64_t w = 0; w < in.width; ++w) g.over_columns.push_back(g.columns.over(w));
  return g;
}

// What average and maximum pooling share: rows of slices, handed to the loops above.
class PoolKernel : public LoopKernel {
 protected:
  template <class Pool>
  PoolKernel(const Pool& op, const KernelRequest& request, Layout layout, const CpuContext& context)
      : threads_(context.threads) {
    const Blocking in(request.inputs[0].shape, layout);
    const Blocking out(request.output.shape, layout);
    geometry_ = geometry_of(op, in, out);
    slices_ = in.slices();
    needs_.output = {request.output.type, layout};
    needs_.inputs = {needs_.output};

    const auto read = static_cast<double>(request.inputs[0].bytes());
    const auto written = static_cast<double>(request.output.bytes());
    const auto flops =
        static_cast<double>(request.output.shape.elements() * op.kernel.height * op.kernel.width);
    forward_report_ = report(request, "forward", layout, flops, read + written);
    if (wants_gradient(request)) backward_report_ = report(request, "backward", layout, flops, read + written);
  }

  // Over rows of the output and of the input.
  template <class Function>
  void for_output_rows(Function&& f) const {
    parallel_for(threads_, slices_ * geometry_.rows.out, grain_of(geometry_.columns.out), f);
  }
  template <class Function>
  void for_input_rows(Function&& f) const {
    parallel_for(threads_, slices_ * geometry_.rows.in, grain_of(geometry_.columns.in), f);
  }

  Geometry geometry_{};

 private:
  [[nodiscard]] std::int64_t grain_of(std::int64_t columns) const {
    return std::max<std::int64_t>(1, 2048 / (columns * geometry_.inner));
  }

  int threads_;
  std::int64_t slices_ = 0;
};

template <class Element>
class AvgPoolKernel : public PoolKernel {
 public:
  AvgPoolKernel(const KernelRequest& request, Layout layout, const CpuContext& context)
      : PoolKernel(std::get<AvgPool>(request.unit.first().op), request, layout, context) {}

  void forward(const StepContext& /*context*/) override {
    for_output_rows([this](std::int64_t begin, std::int64_t end) {
      average_forward(geometry_, input<Element>(), output<Element>(), begin, end);
    });
  }

  void backward(const StepContext& /*context*/) override {
    if (input_gradient<Element>() == nullptr) return;
    for_input_rows([this](std::int64_t begin, std::int64_t end) {
      average_backward(geometry_, output_gradient<Element>(), input_gradient<Element>(), begin, end);
    });
  }
};

template <class Element>
class MaxPoolKernel : public PoolKernel {
 public:
  MaxPoolKernel(const KernelRequest& request, Layout layout, const CpuContext& context)
      : PoolKernel(std::get<MaxPool>(request.unit.first().op), request, layout, context) {
    if (!wants_gradient(request)) return;
    needs_.saved_bytes = static_cast<std::size_t>(request.output.shape.elements()) * sizeof(std::int32_t);
    forward_report_.bytes += static_cast<double>(needs_.saved_bytes);
    backward_report_.bytes += static_cast<double>(needs_.saved_bytes);
  }

  void forward(const StepContext& /*context*/) override {
    for_output_rows([this](std::int64_t begin, std::int64_t end) {
      maximum_forward(geometry_, input<Element>(), output<Element>(), places(), begin, end);
    });
  }

  void backward(const StepContext& /*context*/) override {
    if (input_gradient<Element>() == nullptr) return;
    for_input_rows([this](std::int64_t begin, std::int64_t end) {
      maximum_backward(geometry_, output_gradient<Element>(), places(), input_gradient<Element>(), begin, end);
    });
  }

 private:
  [[nodiscard]] std::int32_t* places() const {
    return needs_.saved_bytes == 0 ? nullptr : static_cast<std::int32_t*>(bound_.saved);
  }
};

template <class Element>
DESCENT_CLONES void channel_means(const Element* input, Element* output, std::int64_t cells, std::int64_t inner,
                                  std::int64_t begin, std::int64_t end) {
  const auto divisor = static_cast<float>(cells);
  for (std::int64_t slice = begin; slice < end; ++slice) {
    const Element* const from = input + slice * cells * inner;
    Element* const to = output + slice * inner;
    if (inner == 1) {
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t cell = 0; cell < cells; ++cell) sum += to_f32(from[cell]);
      *to = to_element<Element>(sum / divisor);
      continue;
    }
    for_strips(inner, [&](std::int64_t first, auto count) {
      Strip sum;
      std::fill_n(sum.data(), count, 0.0F);
      for (std::int64_t cell = 0; cell < cells; ++cell) {
#pragma omp simd
        for (std::int64_t i = 0; i < count; ++i) sum.data()[i] += to_f32(from[cell * inner + first + i]);
      }
#pragma omp simd
      for (std::int64_t i = 0; i < count; ++i) to[first + i] = to_element<Element>(sum.data()[i] / divisor);
    });
  }
}

// With one output cell a picture and channel every layout has the same order there.
template <class Element>
class GlobalAvgPoolKernel : public LoopKernel {
 public:
  GlobalAvgPoolKernel(const KernelRequest& request, Layout layout, const CpuContext& context)
      : blocking_(request.inputs[0].shape, layout), threads_(context.threads) {
    needs_.inputs = {{request.output.type, layout}};
    needs_.output = request.output.format();
    const auto read = static_cast<double>(request.inputs[0].bytes());
    const auto written = static_cast<double>(request.output.bytes());
    const auto flops = static_cast<double>(request.inputs[0].shape.elements());
    forward_report_ = report(request, "forward", layout, flops, read + written);
    if (wants_gradient(request)) backward_report_ = report(request, "backward", layout, 0, read + written);
  }

  void forward(const StepContext& /*context*/) override {
    parallel_for(threads_, blocking_.slices(), grain(), [this](std::int64_t begin, std::int64_t end) {
      channel_means(input<Element>(), output<Element>(), blocking_.cells(), blocking_.inner, begin, end);
    });
  }

  void backward(const StepContext& /*context*/) override {
    if (input_gradient<Element>() == nullptr) return;
    const std::int64_t cells = blocking_.cells();
    const std::int64_t inner = blocking_.inner;
    const auto divisor = static_cast<float>(cells);
    parallel_for(threads_, blocking_.slices(), grain(), [&, this](std::int64_t begin, std::int64_t end) {
      for (std::int64_t slice = begin; slice < end; ++slice) {
        const Element* const from = output_gradient<Element>() + slice * inner;
        Element* const to = input_gradient<Element>() + slice * cells * inner;
        for (std::int64_t i = 0; i < inner; ++i) to[i] = to_element<Element>(to_f32(from[i]) / divisor);
        for (std::int64_t cell = 1; cell < cells; ++cell) std::copy_n(to, inner, to + cell * inner);
      }
    });
  }

 private:
  [[nodiscard]] std::int64_t grain() const {
    return std::max<std::int64_t>(1, 4096 / (blocking_.cells() * blocking_.inner));
  }

  Blocking blocking_;
  int threads_;
};

}  // namespace

std::unique_ptr<Kernel> make_avg_pool(const KernelRequest& request, Layout layout, const CpuContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<AvgPoolKernel<Element>>(request, layout, context);
  });
}

std::unique_ptr<Kernel> make_max_pool(const KernelRequest& request, Layout layout, const CpuContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<MaxPoolKernel<Element>>(request, layout, context);
  });
}

std::unique_ptr<Kernel> make_global_avg_pool(const KernelRequest& request, Layout layout,
                                             const CpuContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<GlobalAvgPoolKernel<Element>>(request, layout, context);
  });
}

}  // namespace descent
