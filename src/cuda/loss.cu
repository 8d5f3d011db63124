// Softmax cross-entropy, a warp a row. Forward also writes the gradient, which needs what the loss has just
// computed: there is no backward. Bound: bytes, the logits and targets once and the gradient once; a batch of
// them stays in the cache.
#include "cuda/cuda_kernel.h"
#include "cuda/sums.h"

#include <cmath>

namespace descent {
namespace {

constexpr int warp = 32;
constexpr int rows_a_block = 8;

struct Best {
  float value;
  int index;
};

// Index of the largest value, the first on ties. Numbers beat what is none; without any the first wins.
__device__ Best best_of_row(const float* values, int count) {
  const int lane = static_cast<int>(threadIdx.x) % warp;
  Best best{values[0], 0};
  for (int k = lane; k < count; k += warp) {
    if (values[k] > best.value || (std::isnan(best.value) && !std::isnan(values[k]))) best = {values[k], k};
  }
  for (int apart = warp / 2; apart > 0; apart /= 2) {
    const Best other{__shfl_xor_sync(0xffffffffU, best.value, apart),
                     __shfl_xor_sync(0xffffffffU, best.index, apart)};
    const bool first_of_equals = other.value == best.value && other.index < best.index;
    const bool number = std::isnan(best.value) && !std::isnan(other.value);
    if (other.value > best.value || first_of_equals || number) best = other;
  }
  return best;
}

// −Σ t·(z − max − log Σ exp(z − max)): nothing overflows, and a loss near 0 keeps its digits.
__global__ void cross_entropy(const float* logits, const float* targets, float* result, float* gradient,
                              std::int64_t rows, int classes) {
  const int lane = static_cast<int>(threadIdx.x) % warp;
  const std::int64_t step = std::int64_t{gridDim.x} * rows_a_block;
  for (std::int64_t row = std::int64_t{blockIdx.x} * rows_a_block + threadIdx.x / warp; row < rows;
       row += step) {
    const float* const z = logits + row * classes;
    const float* const t = targets + row * classes;
    const Best best = best_of_row(z, classes);
    const Best wanted = best_of_row(t, classes);
    double total = 0;
    double weight = 0;
    for (int k = lane; k < classes; k += warp) {
      total += static_cast<double>(std::exp(z[k] - best.value));
      weight += static_cast<double>(t[k]);
    }
    total = warp_sum(total);
    weight = warp_sum(weight);
    const double log_total = std::log(total);  // not a number if any logit is none
    double loss = 0;
    for (int k = lane; k < classes; k += warp) {
      if (t[k] == 0) continue;  // 0 · −∞ is 0 here
      loss += static_cast<double>(t[k]) *
              (log_total - (static_cast<double>(z[k]) - static_cast<double>(best.value)));
    }
    loss = warp_sum(loss) + 0 * log_total;
    if (lane == 0) {
      result[2 * row] = static_cast<float>(loss);
      result[2 * row + 1] = best.index == wanted.index ? 1.0F : 0.0F;
    }
    if (gradient == nullptr) continue;
    const double factor = weight / total;
    const double mean = 1 / static_cast<double>(rows);
    for (int k = lane; k < classes; k += warp) {
      const double share = static_cast<double>(std::exp(z[k] - best.value)) * factor;
      gradient[row * classes + k] = static_cast<float>((share - static_cast<double>(t[k])) * mean);
    }
  }
}

class SoftmaxCrossEntropyKernel : public CudaKernel {
 public:
  SoftmaxCrossEntropyKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : CudaKernel(context),
        rows_(request.inputs[0].shape[0]),
        classes_(request.inputs[0].shape.elements() / rows_) {
    needs_.inputs.assign(2, Format{});
    needs_.forward_writes_gradient = wants_gradient(request);
    const auto count = static_cast<double>(rows_ * classes_);
    forward_report_ = report(request, needs_.forward_writes_gradient ? "forward, gradient" : "forward", layout,
                             0, (needs_.forward_writes_gradient ? 12 : 8) * count);
  }

  void forward(const StepContext& /*step*/) override {
    Grid grid = grid_for(context_, rows_ * warp, rows_a_block * warp);
    launch(context_, "softmax_cross_entropy forward", grid, cross_entropy, input(0), input(1), output(),
           input_gradient(), rows_, static_cast<int>(classes_));
  }

 private:
  std::int64_t rows_;
  std::int64_t classes_;
};

}  // namespace

std::unique_ptr<Kernel> make_cuda_kernel(const SoftmaxCrossEntropy& /*op*/, const KernelRequest& request,
                                         Layout layout, const CudaContext& context) {
  return std::make_unique<SoftmaxCrossEntropyKernel>(request, layout, context);
}

}  // namespace descent
