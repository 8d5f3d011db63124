// Passes between our tensors and the libraries'. Idea: one thread an element, neighbours in memory on the side
// that is written. Bound: bytes; the weights are read and written once a step, an ending reads and writes its
// tensor once.

#include "cuda/library_steps.h"

#include "cuda/intrinsics.h"
#include "cuda/launch.h"
#include "plan/element.h"

#include <algorithm>
#include <cmath>

namespace descent {

namespace {

// Threads of a block that sums: `lanes` of them side by side over channels, the others over rows.
constexpr int sum_threads = 256;
constexpr std::int64_t most_parts = 256;
constexpr std::int64_t rows_a_part = 64;  // at least

std::int64_t sum_parts(std::int64_t rows) {
  return std::clamp<std::int64_t>(rows / rows_a_part, 1, most_parts);
}

__device__ inline double slope_of(const ChannelParameters& parameters, int channel) {
  if (parameters.scale == nullptr) return 1;
  return static_cast<double>(parameters.scale[channel]) /
         std::sqrt(static_cast<double>(parameters.variance[channel]) + parameters.eps);
}

__device__ inline double shift_of(const ChannelParameters& parameters, int channel, double slope) {
  const double bias = parameters.bias == nullptr ? 0 : static_cast<double>(parameters.bias[channel]);
  if (parameters.scale == nullptr) return bias;
  return (bias - static_cast<double>(parameters.mean[channel])) * slope +
         static_cast<double>(parameters.shift[channel]);
}

template <class Element>
__global__ void derive_kernel(WeightOrder order, const float* weights, ChannelParameters parameters,
                              Element* to, float* shifts) {
  for (const std::int64_t i : grid_stride(order.padded_elements())) {
    const int number = static_cast<int>(i);
    const int in = number % order.padded;
    const int tap = number / order.padded % order.taps;
    const int out = number / order.padded / order.taps;
    const double slope = slope_of(parameters, out);
    const float weight = in < order.in ? weights[(out * order.in + in) * order.taps + tap] : 0.0F;
    to[i] = to_element<Element>(static_cast<float>(static_cast<double>(weight) * slope));
    if (shifts != nullptr && in == 0 && tap == 0) {
      shifts[out] = static_cast<float>(shift_of(parameters, out, slope));
    }
  }
}

template <class Element>
__global__ void restore_kernel(WeightOrder order, const Element* from, float* to) {
  for (const std::int64_t i : grid_stride(order.elements())) {
    const int number = static_cast<int>(i);
    const int tap = number % order.taps;
    const int in = number / order.taps % order.in;
    const int out = number / order.taps / order.in;
    to[i] = to_f32(from[(out * order.taps + tap) * order.padded + in]);
  }
}

template <class Element>
__global__ void pad_kernel(std::int64_t cells, int channels, int padded, const Element* from, Element* to) {
  for (const std::int64_t cell : grid_stride(cells)) {
    for (int channel = 0; channel < padded; ++channel) {
      to[cell * padded + channel] =
          channel < channels ? from[cell * channels + channel] : to_element<Element>(0.0F);
    }
  }
}

template <class Element>
__global__ void end_kernel(std::int64_t elements, int channels, const float* shifts, const Element* add,
                           ReluRule activation, Element* y) {
  for (const std::int64_t i : grid_stride(elements)) {
    float value = to_f32(y[i]);
    if (shifts != nullptr) value += shifts[i % channels];
    if (add != nullptr) value += to_f32(add[i]);
    y[i] = to_element<Element>(activation.value(value));
  }
}

// Block (part, group of channels): sums its rows of `lanes` channels.
template <class Element>
__global__ void __launch_bounds__(sum_threads)
    part_kernel(const Element* values, std::int64_t rows, std::int64_t channels, int lanes, double* parts) {
  __shared__ double sums[sum_threads];
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % lanes;
  const int row_lanes = sum_threads / lanes;
  const std::int64_t channel = static_cast<std::int64_t>(blockIdx.y) * lanes + lane;
  const std::int64_t begin = rows * blockIdx.x / gridDim.x;
  const std::int64_t end = rows * (blockIdx.x + 1) / gridDim.x;
  double sum = 0;
  if (channel < channels) {
    for (std::int64_t row = begin + thread / lanes; row < end; row += row_lanes) {
      sum += static_cast<double>(to_f32(values[row * channels + channel]));
    }
  }
  sums[thread] = sum;
  __syncthreads();
  if (thread >= lanes || channel >= channels) return;
  for (int other = thread + lanes; other < sum_threads; other += lanes) sum += sums[other];
  parts[static_cast<std::int64_t>(blockIdx.x) * channels + channel] = sum;
}

__global__ void total_kernel(const double* parts, std::int64_t count, std::int64_t channels, float* to) {
  for (const std::int64_t channel : grid_stride(channels)) {
    double sum = 0;
    for (std::int64_t part = 0; part < count; ++part) sum += parts[part * channels + channel];
    to[channel] = static_cast<float>(sum);
  }
}

__global__ void clear_kernel(float* to, std::int64_t count) {
  for (const std::int64_t i : grid_stride(count)) to[i] = 0;
}

}  // namespace

void derive_weights(const CudaContext& context, const WeightOrder& order, const float* weights,
                    const ChannelParameters& parameters, DType type, void* to, float* shifts) {
  with_element(type, [&]<class Element>(Element) {
    launch(context, "weights in the library's order", grid_for(context, order.padded_elements()),
           derive_kernel<Element>, order, weights, parameters, static_cast<Element*>(to), shifts);
  });
}

void restore_gradient(const CudaContext& context, const WeightOrder& order, DType type, const void* from,
                      float* to) {
  with_element(type, [&]<class Element>(Element) {
    launch(context, "weight gradient in our order", grid_for(context, order.elements()),
           restore_kernel<Element>, order, static_cast<const Element*>(from), to);
  });
}

void pad_channels(const CudaContext& context, DType type, std::int64_t cells, int channels, int padded,
                  const void* from, void* to) {
  with_element(type, [&]<class Element>(Element) {
    launch(context, "padding channels", grid_for(context, cells), pad_kernel<Element>, cells, channels, padded,
           static_cast<const Element*>(from), static_cast<Element*>(to));
  });
}

void end_rows(const CudaContext& context, DType type, std::int64_t rows, int channels, const RowEnding& ending,
              void* y) {
  with_element(type, [&]<class Element>(Element) {
    launch(context, "ending of a product", grid_for(context, rows * channels), end_kernel<Element>,
           rows * channels, channels, ending.shifts, static_cast<const Element*>(ending.add), ending.activation,
           static_cast<Element*>(y));
  });
}

std::size_t channel_total_bytes(std::int64_t rows, std::int64_t channels) {
  return static_cast<std::size_t>(sum_parts(rows) * channels) * sizeof(double);
}

void channel_totals(const CudaContext& context, DType type, const void* values, std::int64_t rows,
                    std::int64_t channels, float* to, void* scratch) {
  const std::int64_t parts = sum_parts(rows);
  int lanes = 1;
  while (lanes < channels && lanes < sum_threads) lanes *= 2;
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(parts), static_cast<unsigned>((channels + lanes - 1) / lanes));
  grid.threads = dim3(sum_threads);
  auto* const sums = static_cast<double*>(scratch);
  with_element(type, [&]<class Element>(Element) {
    launch(context, "channel sums, in parts", grid, part_kernel<Element>, static_cast<const Element*>(values),
           rows, channels, lanes, sums);
  });
  launch(context, "channel sums", grid_for(context, channels), total_kernel, static_cast<const double*>(sums),
         parts, channels, to);
}

void clear(const CudaContext& context, float* to, std::int64_t count) {
  launch(context, "zeros", grid_for(context, count), clear_kernel, to, count);
}

}  // namespace descent
