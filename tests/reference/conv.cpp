// torch.nn.Conv2d: y[n,o,oy,ox] = b[o] + Σ w[o,i,ky,kx] · x[n,i, oy·s − p + ky·d, ox·s − p + kx·d], the
// inputs i being those of o's group; taps outside the picture count as zero. The gradients follow term
// by term: dx gets w·dy, dw gets x·dy, db gets dy.
#include "reference/kernels.h"

#include <algorithm>

namespace descent::reference {

namespace {

class ConvKernel final : public ReferenceKernel {
 public:
  ConvKernel(const KernelRequest& request, const Conv& op) : ReferenceKernel(request), op_(op) {
    needs_.backward_reads_inputs = true;
  }

  void forward(const StepContext& /*context*/) override {
    const double* x = input();
    const double* w = parameter(0);
    double* y = output();
    for (std::size_t i = 0; i < out_.elements(); ++i) y[i] = op_.bias ? parameter(1)[channel(i)] : 0;
    for_each_tap([&](std::size_t at_y, std::size_t at_w, std::size_t at_x) { y[at_y] += w[at_w] * x[at_x]; });
  }

  void backward(const StepContext& /*context*/) override {
    const double* x = input();
    const double* w = parameter(0);
    const double* dy = output_gradient();
    double* dw = parameter_gradient(0);
    std::fill_n(dw, weights(), 0.0);
    for_each_tap([&](std::size_t at_y, std::size_t at_w, std::size_t at_x) { dw[at_w] += x[at_x] * dy[at_y]; });
    if (op_.bias) {
      double* db = parameter_gradient(1);
      std::fill_n(db, out_.c, 0.0);
      for (std::size_t i = 0; i < out_.elements(); ++i) db[channel(i)] += dy[i];
    }
    double* dx = input_gradient();
    if (dx == nullptr) return;
    std::fill_n(dx, in_.elements(), 0.0);
    for_each_tap([&](std::size_t at_y, std::size_t at_w, std::size_t at_x) { dx[at_x] += w[at_w] * dy[at_y]; });
  }

 private:
  [[nodiscard]] std::size_t channel(std::size_t element) const {
    return element / static_cast<std::size_t>(out_.area()) % static_cast<std::size_t>(out_.c);
  }
  [[nodiscard]] std::int64_t weights() const {
    return out_.c * (in_.c / op_.groups) * op_.kernel.height * op_.kernel.width;
  }

  // Calls visit(index in y, index in w, index in x) for every product of the sum.
  template <class Visit>
  void for_each_tap(Visit visit) const {
    const std::int64_t group_inputs = in_.c / op_.groups;
    const std::int64_t group_outputs = out_.c / op_.groups;
    for (std::int64_t n = 0; n < out_.n; ++n)
      for (std::int64_t o = 0; o < out_.c; ++o)
        for (std::int64_t oy = 0; oy < out_.h; ++oy)
          for (std::int64_t ox = 0; ox < out_.w; ++ox)
            for (std::int64_t i = 0; i < group_inputs; ++i)
              for (std::int64_t ky = 0; ky < op_.kernel.height; ++ky)
                for (std::int64_t kx = 0; kx < op_.kernel.width; ++kx) {
                  const std::int64_t iy =
                      oy * op_.stride.height - op_.padding.height + ky * op_.dilation.height;
                  const std::int64_t ix = ox * op_.stride.width - op_.padding.width + kx * op_.dilation.width;
                  if (iy < 0 || iy >= in_.h || ix < 0 || ix >= in_.w) continue;
                  const std::int64_t from = o / group_outputs * group_inputs + i;
                  const std::int64_t weight =
                      ((o * group_inputs + i) * op_.kernel.height + ky) * op_.kernel.width + kx;
                  visit(out_.at(n, o, oy, ox), static_cast<std::size_t>(weight), in_.at(n, from, iy, ix));
                }
  }

  Conv op_;
};

}  // namespace

std::unique_ptr<Kernel> make_conv(const KernelRequest& request, const Conv& op) {
  return std::make_unique<ConvKernel>(request, op);
}

}  // namespace descent::reference
