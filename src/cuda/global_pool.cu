// Mean of each channel of each picture. A thread owns a channel forward, an element backward.
// Bound by memory: each pass reads or writes every element once.
#include "cuda/cuda_kernel.h"
#include "cuda/pack.h"
#include "cuda/sums.h"

namespace descent {

namespace {

constexpr int threads = 256;

struct Planes {
  std::int64_t slices;  // pictures, or planes of one channel
  int cells;
  int inner;  // channels side by side
};

// A warp takes 32 channels side by side, or the cells of one where they lie side by side.
template <class Element>
__global__ void __launch_bounds__(threads) channel_means(Planes planes, const Element* input, Element* output) {
  const auto divisor = static_cast<float>(planes.cells);
  if (planes.inner > 1) {
    for (const std::int64_t i : grid_stride(planes.slices * planes.inner)) {
      const std::int64_t slice = i / planes.inner;
      const Element* const from = input + slice * planes.cells * planes.inner + (i - slice * planes.inner);
      float sum = 0;
#pragma unroll 4
      for (int cell = 0; cell < planes.cells; ++cell)
        sum += to_f32(from[static_cast<std::int64_t>(cell) * planes.inner]);
      output[i] = to_element<Element>(sum / divisor);
    }
    return;
  }
  constexpr int warps = threads / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * warps;
  std::int64_t slice = static_cast<std::int64_t>(blockIdx.x) * warps + static_cast<int>(threadIdx.x) / 32;
  for (; slice < planes.slices; slice += step) {
    float sum = 0;
    for (int cell = lane; cell < planes.cells; cell += 32) sum += to_f32(input[slice * planes.cells + cell]);
    sum = warp_sum(sum);
    if (lane == 0) output[slice] = to_element<Element>(sum / divisor);
  }
}

template <class Element>
__global__ void __launch_bounds__(threads)
    spread_means(Planes planes, const Element* output_gradient, Element* input_gradient) {
  const auto divisor = static_cast<float>(planes.cells);
  const std::int64_t a_slice = static_cast<std::int64_t>(planes.cells) * planes.inner;
  for (const std::int64_t i : grid_stride(planes.slices * a_slice)) {
    const Element gradient = output_gradient[i / a_slice * planes.inner + i % planes.inner];
    input_gradient[i] = to_element<Element>(to_f32(gradient) / divisor);
  }
}

template <class Element>
class GlobalAvgPoolKernel final : public CudaKernel {
 public:
  GlobalAvgPoolKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : CudaKernel(context) {
    const Shape& in = request.inputs.front().shape;
    const bool last = layout == nhwc;
    planes_ = {last ? in[0] : in[0] * in[1], static_cast<int>(in[2] * in[3]),
               last ? static_cast<int>(in[1]) : 1};
    needs_.output = {request.output.type, layout};
    needs_.inputs = {needs_.output};
    const auto flops = static_cast<double>(in.elements());
    const auto bytes = static_cast<double>(request.inputs[0].bytes() + request.output.bytes());
    forward_report_ = report(request, "forward", layout, flops, bytes);
    if (wants_gradient(request)) backward_report_ = report(request, "backward", layout, flops, bytes);
  }

  void forward(const StepContext& /*context*/) override {
    const std::int64_t means = planes_.slices * planes_.inner * (planes_.inner > 1 ? 1 : 32);
    launch(context_, "global_avg_pool forward", grid_for(context_, means, threads), channel_means<Element>,
           planes_, input<Element>(), output<Element>());
  }

  void backward(const StepContext& /*context*/) override {
    if (input_gradient<Element>() == nullptr) return;
    const std::int64_t elements = planes_.slices * planes_.cells * planes_.inner;
    launch(context_, "global_avg_pool backward", grid_for(context_, elements, threads), spread_means<Element>,
           planes_, output_gradient<Element>(), input_gradient<Element>());
  }

 private:
  Planes planes_{};
};

}  // namespace

std::unique_ptr<Kernel> make_cuda_kernel(const GlobalAvgPool& /*op*/, const KernelRequest& request,
                                         Layout layout, const CudaContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<GlobalAvgPoolKernel<Element>>(request, layout, context);
  });
}

}  // namespace descent
