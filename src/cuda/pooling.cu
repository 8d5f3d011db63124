// Pooling in both layouts. A thread owns a cell of what it writes, with some neighbouring channels where they
// lie side by side: a cell of the output forward, a cell of the input's gradient backward, which it gathers
// from all windows over it. So no two threads write the same element, and every sum has one order. Bound by
// memory: each pass reads and writes every element once where caches hold the overlap of windows; max pooling
// moves the place of every maximum too, a byte where windows have at most 256 cells.
#include "cuda/cuda_kernel.h"
#include "cuda/pack.h"
#include "plan/pool_window.h"

#include <algorithm>
#include <limits>
#include <type_traits>

namespace descent {

namespace {

constexpr int threads = 256;

using Span = PoolSpan<int>;
using Window = PoolWindow<int>;

struct Pool {
  Window rows, columns;
  std::int64_t slices;  // pictures, or planes of one channel
  int inner;            // channels side by side

  // Position of a cell in its window, which max pooling keeps.
  [[nodiscard]] constexpr int place(int oh, int ow, int h, int w) const {
    return (h - (oh * rows.stride - rows.padding)) * columns.kernel + w -
           (ow * columns.stride - columns.padding);
  }
  [[nodiscard]] constexpr std::int64_t in_cells() const { return slices * rows.in * columns.in; }
  [[nodiscard]] constexpr std::int64_t out_cells() const { return slices * rows.out * columns.out; }
};

// A cell of a tensor of height × width a slice, with its first channel of some.
struct Cell {
  std::int64_t slice;
  int row, column, channel;

  constexpr Cell(std::int64_t number, int packs, int width_of_pack, int height, int width) {
    // Divisions of 64 bits would take more of a thread's time than its window.
    if (number <= std::numeric_limits<std::int32_t>::max()) {
      split(static_cast<std::int32_t>(number), packs, height, width);
    } else {
      split(number, packs, height, width);
    }
    channel *= width_of_pack;
  }

 private:
  template <class Number>
  constexpr void split(Number number, int packs, int height, int width) {
    const Number rest = number / packs;
    channel = static_cast<int>(number - rest * packs);
    const Number above = rest / width;
    column = static_cast<int>(rest - above * width);
    slice = above / height;
    row = static_cast<int>(above - static_cast<Number>(slice) * height);
  }
};

template <class Element, int width>
__global__ void __launch_bounds__(threads) average_forward(Pool pool, const Element* input, Element* output) {
  const int packs = pool.inner / width;
  for (const std::int64_t i : grid_stride(pool.out_cells() * packs)) {
    const Cell cell(i, packs, width, pool.rows.out, pool.columns.out);
    const Span hs = pool.rows.under(cell.row);
    const Span ws = pool.columns.under(cell.column);
    float sums[width] = {};
    for (int h = hs.begin; h < hs.end; ++h) {
      for (int w = ws.begin; w < ws.end; ++w) {
        const std::int64_t from = (cell.slice * pool.rows.in + h) * pool.columns.in + w;
        float values[width];
        load_floats<width>(input + from * pool.inner + cell.channel, values);
#pragma unroll
        for (int j = 0; j < width; ++j) sums[j] += values[j];
      }
    }
    const auto divisor =
        static_cast<float>(std::max(pool.rows.cells(cell.row) * pool.columns.cells(cell.column), 1));
#pragma unroll
    for (int j = 0; j < width; ++j) sums[j] /= divisor;
    store_floats<width>(output + i * width, sums);
  }
}

template <class Element, int width>
__global__ void __launch_bounds__(threads)
    average_backward(Pool pool, const Element* output_gradient, Element* input_gradient) {
  const int packs = pool.inner / width;
  for (const std::int64_t i : grid_stride(pool.in_cells() * packs)) {
    const Cell cell(i, packs, width, pool.rows.in, pool.columns.in);
    const Span ohs = pool.rows.over(cell.row);
    const Span ows = pool.columns.over(cell.column);
    float sums[width] = {};
    for (int oh = ohs.begin; oh < ohs.end; ++oh) {
      for (int ow = ows.begin; ow < ows.end; ++ow) {
        const std::int64_t from = (cell.slice * pool.rows.out + oh) * pool.columns.out + ow;
        const auto divisor = static_cast<float>(pool.rows.cells(oh) * pool.columns.cells(ow));
        float values[width];
        load_floats<width>(output_gradient + from * pool.inner + cell.channel, values);
#pragma unroll
        for (int j = 0; j < width; ++j) sums[j] += values[j] / divisor;
      }
    }
    store_floats<width>(input_gradient + i * width, sums);
  }
}

// `places` is null where no gradient will be asked for.
template <class Element, class Place, int width>
__global__ void __launch_bounds__(threads)
    maximum_forward(Pool pool, const Element* input, Element* output, Place* places) {
  const int packs = pool.inner / width;
  for (const std::int64_t i : grid_stride(pool.out_cells() * packs)) {
    const Cell cell(i, packs, width, pool.rows.out, pool.columns.out);
    const Span hs = pool.rows.under(cell.row);
    const Span ws = pool.columns.under(cell.column);
    // A window full of −∞ has its maximum in its first cell.
    const int first = pool.place(cell.row, cell.column, hs.begin, ws.begin);
    float most[width];
    Pack<Place, width> kept;
#pragma unroll
    for (int j = 0; j < width; ++j) {
      most[j] = -std::numeric_limits<float>::infinity();
      kept.values[j] = static_cast<Place>(first);
    }
    for (int h = hs.begin; h < hs.end; ++h) {
      for (int w = ws.begin; w < ws.end; ++w) {
        const std::int64_t from = (cell.slice * pool.rows.in + h) * pool.columns.in + w;
        const auto place = static_cast<Place>(pool.place(cell.row, cell.column, h, w));
        float values[width];
        load_floats<width>(input + from * pool.inner + cell.channel, values);
#pragma unroll
        for (int j = 0; j < width; ++j) {
          const bool better = values[j] > most[j] || values[j] != values[j];  // what is not a number stays seen
          most[j] = better ? values[j] : most[j];
          kept.values[j] = better ? place : kept.values[j];
        }
      }
    }
    store_floats<width>(output + i * width, most);
    if (places != nullptr) store_pack<width>(places + i * width, kept);
  }
}

template <class Element, class Place, int width>
__global__ void __launch_bounds__(threads)
    maximum_backward(Pool pool, const Element* output_gradient, const Place* places, Element* input_gradient) {
  const int packs = pool.inner / width;
  for (const std::int64_t i : grid_stride(pool.in_cells() * packs)) {
    const Cell cell(i, packs, width, pool.rows.in, pool.columns.in);
    const Span ohs = pool.rows.over(cell.row);
    const Span ows = pool.columns.over(cell.column);
    float sums[width] = {};
    for (int oh = ohs.begin; oh < ohs.end; ++oh) {
      for (int ow = ows.begin; ow < ows.end; ++ow) {
        const std::int64_t from = (cell.slice * pool.rows.out + oh) * pool.columns.out + ow;
        const auto place = static_cast<Place>(pool.place(oh, ow, cell.row, cell.column));
        float values[width];
        load_floats<width>(output_gradient + from * pool.inner + cell.channel, values);
        const Pack<Place, width> kept = load_pack<width>(places + from * pool.inner + cell.channel);
#pragma unroll
        for (int j = 0; j < width; ++j) sums[j] += kept.values[j] == place ? values[j] : 0.0F;
      }
    }
    store_floats<width>(input_gradient + i * width, sums);
  }
}

template <class Op>
Pool pool_of(const Op& op, const KernelRequest& request, Layout layout) {
  const Shape& in = request.inputs.front().shape;
  const Shape& out = request.output.shape;
  const auto window = [&](std::size_t axis, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
    return Window{static_cast<int>(kernel), static_cast<int>(stride), static_cast<int>(padding),
                  static_cast<int>(in[axis]), static_cast<int>(out[axis])};
  };
  const bool last = layout == nhwc;
  return {window(2, op.kernel.height, op.stride.height, op.padding.height),
          window(3, op.kernel.width, op.stride.width, op.padding.width), last ? in[0] : in[0] * in[1],
          last ? static_cast<int>(in[1]) : 1};
}

// What average and maximum pooling share.
template <class Op>
class PoolKernel : public CudaKernel {
 protected:
  PoolKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : CudaKernel(context), op_(std::get<Op>(request.unit.first().op)), pool_(pool_of(op_, request, layout)) {
    needs_.output = {request.output.type, layout};
    needs_.inputs = {needs_.output};
    const auto bytes = static_cast<double>(request.inputs[0].bytes() + request.output.bytes());
    const auto flops =
        static_cast<double>(request.output.shape.elements() * op_.kernel.height * op_.kernel.width);
    forward_report_ = report(request, "forward", layout, flops, bytes);
    if (wants_gradient(request)) backward_report_ = report(request, "backward", layout, flops, bytes);
  }

  // f(std::integral_constant of the channels that a thread takes)
  template <class Element, class Function>
  void with_width(Function&& f) const {
    constexpr int widest = widest_pack<Element>;
    if (pool_.inner % widest == 0) return f(std::integral_constant<int, widest>{});
    if (pool_.inner % 4 == 0) return f(std::integral_constant<int, 4>{});
    f(std::integral_constant<int, 1>{});
  }
  [[nodiscard]] Grid forward_grid(int width) const {
    return grid_for(context_, pool_.out_cells() * (pool_.inner / width), threads);
  }
  [[nodiscard]] Grid backward_grid(int width) const {
    return grid_for(context_, pool_.in_cells() * (pool_.inner / width), threads);
  }

  Op op_;
  Pool pool_;
};

template <class Element>
class AvgPoolKernel final : public PoolKernel<AvgPool> {
 public:
  AvgPoolKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : PoolKernel(request, layout, context) {}

  void forward(const StepContext& /*context*/) override {
    with_width<Element>([this]<int width>(std::integral_constant<int, width> /*channels*/) {
      launch(context_, "avg_pool forward", forward_grid(width), average_forward<Element, width>, pool_,
             input<Element>(), output<Element>());
    });
  }

  void backward(const StepContext& /*context*/) override {
    if (input_gradient<Element>() == nullptr) return;
    with_width<Element>([this]<int width>(std::integral_constant<int, width> /*channels*/) {
      launch(context_, "avg_pool backward", backward_grid(width), average_backward<Element, width>, pool_,
             output_gradient<Element>(), input_gradient<Element>());
    });
  }
};

template <class Element, class Place>
class MaxPoolKernel final : public PoolKernel<MaxPool> {
 public:
  MaxPoolKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : PoolKernel(request, layout, context) {
    if (!wants_gradient(request)) return;
    needs_.saved_bytes = static_cast<std::size_t>(request.output.shape.elements()) * sizeof(Place);
    forward_report_.bytes += static_cast<double>(needs_.saved_bytes);
    backward_report_.bytes += static_cast<double>(needs_.saved_bytes);
  }

  void forward(const StepContext& /*context*/) override {
    with_width<Element>([this]<int width>(std::integral_constant<int, width> /*channels*/) {
      launch(context_, "max_pool forward", forward_grid(width), maximum_forward<Element, Place, width>, pool_,
             input<Element>(), output<Element>(), places());
    });
  }

  void backward(const StepContext& /*context*/) override {
    if (input_gradient<Element>() == nullptr) return;
    with_width<Element>([this]<int width>(std::integral_constant<int, width> /*channels*/) {
      launch(context_, "max_pool backward", backward_grid(width), maximum_backward<Element, Place, width>,
             pool_, output_gradient<Element>(), static_cast<const Place*>(places()), input_gradient<Element>());
    });
  }

 private:
  [[nodiscard]] Place* places() const {
    return needs_.saved_bytes == 0 ? nullptr : static_cast<Place*>(bound_.saved);
  }
};

}  // namespace

std::unique_ptr<Kernel> make_cuda_kernel(const AvgPool& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<AvgPoolKernel<Element>>(request, layout, context);
  });
}

std::unique_ptr<Kernel> make_cuda_kernel(const MaxPool& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  const Extent kernel = std::get<MaxPool>(request.unit.first().op).kernel;
  const bool byte = kernel.height * kernel.width <= 256;
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    if (byte) return std::make_unique<MaxPoolKernel<Element, std::uint8_t>>(request, layout, context);
    return std::make_unique<MaxPoolKernel<Element, std::int32_t>>(request, layout, context);
  });
}

}  // namespace descent
