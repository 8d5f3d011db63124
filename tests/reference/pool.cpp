// torch.nn.AvgPool2d(count_include_pad=False), MaxPool2d and AdaptiveAvgPool2d(1). Cells of a window that
// lie outside the picture do not exist: they are neither counted nor compared.
#include "reference/kernels.h"

#include <algorithm>
#include <vector>

namespace descent::reference {

namespace {

// Calls visit(index in the output, indices in the input of the window's cells, row by row).
template <class Op, class Visit>
void for_each_window(const Op& op, const Sizes& in, const Sizes& out, Visit visit) {
  std::vector<std::size_t> cells;
  for (std::int64_t n = 0; n < out.n; ++n)
    for (std::int64_t c = 0; c < out.c; ++c)
      for (std::int64_t oy = 0; oy < out.h; ++oy)
        for (std::int64_t ox = 0; ox < out.w; ++ox) {
          cells.clear();
          for (std::int64_t ky = 0; ky < op.kernel.height; ++ky)
            for (std::int64_t kx = 0; kx < op.kernel.width; ++kx) {
              const std::int64_t iy = oy * op.stride.height - op.padding.height + ky;
              const std::int64_t ix = ox * op.stride.width - op.padding.width + kx;
              if (iy >= 0 && iy < in.h && ix >= 0 && ix < in.w) cells.push_back(in.at(n, c, iy, ix));
            }
          visit(out.at(n, c, oy, ox), cells);
        }
}

class AvgPoolKernel final : public ReferenceKernel {
 public:
  AvgPoolKernel(const KernelRequest& request, const AvgPool& op) : ReferenceKernel(request), op_(op) {}

  void forward(const StepContext& /*context*/) override {
    for_each_window(op_, in_, out_, [&](std::size_t at, const std::vector<std::size_t>& cells) {
      double sum = 0;
      for (const std::size_t cell : cells) sum += input()[cell];
      output()[at] = sum / static_cast<double>(cells.size());
    });
  }

  void backward(const StepContext& /*context*/) override {
    double* dx = input_gradient();
    if (dx == nullptr) return;
    std::fill_n(dx, in_.elements(), 0.0);
    for_each_window(op_, in_, out_, [&](std::size_t at, const std::vector<std::size_t>& cells) {
      for (const std::size_t cell : cells)
        dx[cell] += output_gradient()[at] / static_cast<double>(cells.size());
    });
  }

 private:
  AvgPool op_;
};

class MaxPoolKernel final : public ReferenceKernel {
 public:
  MaxPoolKernel(const KernelRequest& request, const MaxPool& op) : ReferenceKernel(request), op_(op) {
    needs_.backward_reads_inputs = true;
  }

  void forward(const StepContext& /*context*/) override {
    for_each_window(op_, in_, out_, [&](std::size_t at, const std::vector<std::size_t>& cells) {
      output()[at] = input()[largest(cells)];
    });
  }

  void backward(const StepContext& /*context*/) override {
    double* dx = input_gradient();
    if (dx == nullptr) return;
    std::fill_n(dx, in_.elements(), 0.0);
    for_each_window(op_, in_, out_, [&](std::size_t at, const std::vector<std::size_t>& cells) {
      dx[largest(cells)] += output_gradient()[at];
    });
  }

 private:
  [[nodiscard]] std::size_t largest(const std::vector<std::size_t>& cells) const {  // the first on ties
    return *std::max_element(cells.begin(), cells.end(),
                             [&](std::size_t a, std::size_t b) { return input()[a] < input()[b]; });
  }

  MaxPool op_;
};

class GlobalAvgPoolKernel final : public ReferenceKernel {
 public:
  using ReferenceKernel::ReferenceKernel;

  void forward(const StepContext& /*context*/) override {
    const auto area = static_cast<std::size_t>(in_.area());
    std::fill_n(output(), out_.elements(), 0.0);
    for (std::size_t i = 0; i < in_.elements(); ++i)
      output()[i / area] += input()[i] / static_cast<double>(area);
  }

  void backward(const StepContext& /*context*/) override {
    if (input_gradient() == nullptr) return;
    const auto area = static_cast<std::size_t>(in_.area());
    for (std::size_t i = 0; i < in_.elements(); ++i)
      input_gradient()[i] = output_gradient()[i / area] / static_cast<double>(area);
  }
};

}  // namespace

std::unique_ptr<Kernel> make_avg_pool(const KernelRequest& request, const AvgPool& op) {
  return std::make_unique<AvgPoolKernel>(request, op);
}
std::unique_ptr<Kernel> make_max_pool(const KernelRequest& request, const MaxPool& op) {
  return std::make_unique<MaxPoolKernel>(request, op);
}
std::unique_ptr<Kernel> make_global_avg_pool(const KernelRequest& request) {
  return std::make_unique<GlobalAvgPoolKernel>(request);
}

}  // namespace descent::reference
