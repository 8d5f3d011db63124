// Batch normalisation in two passes each way, with or without the activation behind it: sums over the batch,
// then some multiplications and additions an element. Bound by memory: forward reads x twice and writes y (12
// bytes an element in f32), backward reads x and dy twice and writes dx (20 bytes); an activation adds no byte,
// because backward computes again what it was given.
// Idea: a thread keeps to its channels, whose numbers it holds in registers, and walks down the rows; 16 bytes
// are read at a time where the channels allow it.
#include "cuda/intrinsics.h"
#include "cuda/launch.h"
#include "cuda/norm_passes.h"
#include "cuda/pack.h"

#include <algorithm>

namespace descent {

namespace {

constexpr int threads = 256;

struct SumShape {
  std::int64_t rows;
  int channels;
  int lanes;  // threads side by side, each with a pack of channels; a power of two
};

// The terms that are summed: x, x².
template <class Element>
struct InputTerms {
  const Element* x;
  using Finish = NormStatistics;

  template <int width>
  __device__ void add(std::int64_t at, int /*channel*/, double (&first)[width], double (&second)[width],
                      const ChannelForward (&/*by*/)[width]) const {
    float values[width];
    load_floats<width>(x + at, values);
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const auto value = static_cast<double>(values[i]);
      first[i] += value;
      second[i] += value * value;
    }
  }
  [[nodiscard]] __device__ const ChannelForward* coefficients() const {
    return nullptr;
  }
};

// g, g·x
template <class Element>
struct GradientTerms {
  const Element* x;
  const Element* dy;
  const ChannelForward* by;
  ReluRule rule;
  using Finish = NormGradients;

  template <int width>
  __device__ void add(std::int64_t at, int /*channel*/, double (&first)[width], double (&second)[width],
                      const ChannelForward (&with)[width]) const {
    float values[width];
    float gradients[width];
    load_floats<width>(x + at, values);
    load_floats<width>(dy + at, gradients);
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const auto g = static_cast<double>(rule.gradient(normalised(with[i], values[i]), gradients[i]));
      first[i] += g;
      second[i] += g * static_cast<double>(values[i]);
    }
  }
  [[nodiscard]] __device__ const ChannelForward* coefficients() const {
    return by;
  }
};

template <int width, class Terms>
__global__ void __launch_bounds__(threads)
    sum_rows(SumShape shape, Terms terms, PartialSums sums, typename Terms::Finish finish) {
  __shared__ double space[threads * 2 * width];
  const int lanes = shape.lanes;
  const int rows = threads / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const int tile = static_cast<int>(blockIdx.y) * lanes * width;
  const int channel = tile + lane * width;
  double first[width] = {};
  double second[width] = {};
  if (channel < shape.channels) {
    ChannelForward by[width];
    if (terms.coefficients() != nullptr) {
#pragma unroll
      for (int i = 0; i < width; ++i) by[i] = terms.coefficients()[channel + i];
    }
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * rows;
    std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * rows + static_cast<int>(threadIdx.x) / lanes;
#pragma unroll 4
    for (; row < shape.rows; row += step) {
      terms.template add<width>(row * shape.channels + channel, channel, first, second, by);
    }
  }
  const double total = block_totals<width>(first, second, lanes, threads, space);
  const int end = std::min(shape.channels, tile + lanes * width);
  finish_sums(total, lanes * width, tile, end, shape.channels, static_cast<int>(blockIdx.x),
              static_cast<int>(gridDim.x), sums.counters + blockIdx.y, sums, finish, space);
}

template <int width, class Terms>
void launch_sums(const CudaContext& context, std::string_view name, const NormRows& shape, const Terms& terms,
                 const PartialSums& sums, const typename Terms::Finish& finish) {
  const int packs = (shape.channels + width - 1) / width;
  int lanes = 1;
  while (lanes < packs && lanes < 32) lanes *= 2;
  const int rows_a_block = threads / lanes;
  constexpr std::int64_t rows_a_thread = 4;
  const unsigned tiles = static_cast<unsigned>((packs + lanes - 1) / lanes);
  const std::int64_t parts =
      std::clamp<std::int64_t>(shape.rows / (rows_a_block * rows_a_thread), 1, most_parts);
  const Grid grid{{static_cast<unsigned>(parts), tiles, 1}, {threads, 1, 1}, 0};
  launch(context, name, grid, sum_rows<width, Terms>, SumShape{shape.rows, shape.channels, lanes}, terms, sums,
         finish);
}

// What an element becomes, with the numbers of its channel.
template <class Element>
struct Normalising {
  const Element* x;
  const ChannelForward* by;
  ReluRule rule;
  Element* y;

  template <int width>
  struct Channels {
    ChannelForward by[width];
  };
  template <int width>
  __device__ Channels<width> channels(int first) const {
    Channels<width> all;
#pragma unroll
    for (int i = 0; i < width; ++i) all.by[i] = by[first + i];
    return all;
  }
  template <int width>
  __device__ void compute(std::int64_t at, const Channels<width>& all) const {
    float values[width];
    load_floats<width>(x + at, values);
#pragma unroll
    for (int i = 0; i < width; ++i) values[i] = rule.value(normalised(all.by[i], values[i]));
    store_floats<width>(y + at, values);
  }
};

template <class Element>
struct NormalisingByRunning : Normalising<Element> {
  NormStatistics running;

  template <int width>
  using Channels = typename Normalising<Element>::template Channels<width>;
  template <int width>
  __device__ Channels<width> channels(int first) const {
    Channels<width> all;
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const int channel = first + i;
      const RunningMoments moments{running.running_mean + channel, running.running_variance + channel};
      all.by[i] =
          channel_forward(running_moments(running.op, moments), running.scale[channel], running.shift[channel]);
    }
    return all;
  }
};

template <class Element>
struct Differentiating {
  const Element* x;
  const Element* dy;
  const ChannelForward* by;
  const ChannelBackward* back;
  ReluRule rule;
  Element* dx;

  template <int width>
  struct Channels {
    ChannelForward by[width];
    ChannelBackward back[width];
  };
  template <int width>
  __device__ Channels<width> channels(int first) const {
    Channels<width> all;
#pragma unroll
    for (int i = 0; i < width; ++i) {
      all.by[i] = by[first + i];
      all.back[i] = back[first + i];
    }
    return all;
  }
  template <int width>
  __device__ void compute(std::int64_t at, const Channels<width>& all) const {
    float values[width];
    float gradients[width];
    load_floats<width>(x + at, values);
    load_floats<width>(dy + at, gradients);
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const float g = rule.gradient(normalised(all.by[i], values[i]), gradients[i]);
      values[i] = norm_gradient(all.by[i], all.back[i], values[i], g);
    }
    store_floats<width>(dx + at, values);
  }
};

// The number of threads that work is a multiple of the packs a row: each stays with its channels.
template <int width, class Work>
__global__ void __launch_bounds__(threads) each_element(std::int64_t packs, unsigned packs_a_row, Work work) {
  const unsigned all = gridDim.x * threads;
  const unsigned working = all - all % packs_a_row;
  const unsigned thread = blockIdx.x * threads + threadIdx.x;
  if (thread >= working || thread >= packs) return;
  const auto channels = work.template channels<width>(static_cast<int>(thread % packs_a_row) * width);
#pragma unroll 2
  for (std::int64_t pack = thread; pack < packs; pack += working)
    work.template compute<width>(pack * width, channels);
}

template <int width, class Work>
void launch_each(const CudaContext& context, std::string_view name, const NormRows& shape, const Work& work) {
  const auto packs_a_row = static_cast<unsigned>(shape.channels / width);
  const std::int64_t packs = shape.rows * packs_a_row;
  Grid grid = grid_for(context, packs, threads);
  const unsigned a_row = (packs_a_row + threads - 1) / threads;
  grid.blocks.x = std::max(grid.blocks.x, a_row);
  launch(context, name, grid, each_element<width, Work>, packs, packs_a_row, work);
}

template <class Element>
bool in_packs(const NormRows& shape) {
  return shape.channels % widest_pack<Element> == 0;
}

template <class Element, class Work>
void launch_each_in_packs(const CudaContext& context, std::string_view name, const NormRows& shape,
                          const Work& work) {
  if (in_packs<Element>(shape)) return launch_each<widest_pack<Element>>(context, name, shape, work);
  launch_each<1>(context, name, shape, work);
}

template <class Element, class Terms>
void launch_sums_in_packs(const CudaContext& context, std::string_view name, const NormRows& shape,
                          const Terms& terms, const PartialSums& sums, const typename Terms::Finish& finish) {
  if (shape.channels % 4 == 0) return launch_sums<4>(context, name, shape, terms, sums, finish);
  launch_sums<1>(context, name, shape, terms, sums, finish);
}

}  // namespace

template <class Element>
void norm_sums(const CudaContext& context, const NormRows& shape, const Element* x, const PartialSums& sums,
               const NormStatistics& statistics) {
  launch_sums_in_packs<Element>(context, "norm sums", shape, InputTerms<Element>{x}, sums, statistics);
}

template <class Element>
void normalise(const CudaContext& context, const NormRows& shape, const Element* x, const ChannelForward* by,
               const ReluRule& activation, Element* y) {
  launch_each_in_packs<Element>(context, "normalise", shape, Normalising<Element>{x, by, activation, y});
}

template <class Element>
void normalise_by_running(const CudaContext& context, const NormRows& shape, const Element* x,
                          const NormStatistics& running, const ReluRule& activation, Element* y) {
  launch_each_in_packs<Element>(context, "normalise by running", shape,
                                NormalisingByRunning<Element>{{x, nullptr, activation, y}, running});
}

template <class Element>
void norm_gradient_sums(const CudaContext& context, const NormRows& shape, const Element* x, const Element* dy,
                        const ChannelForward* by, const ReluRule& activation, const PartialSums& sums,
                        const NormGradients& gradients) {
  launch_sums_in_packs<Element>(context, "norm gradient sums", shape,
                                GradientTerms<Element>{x, dy, by, activation}, sums, gradients);
}

template <class Element>
void norm_input_gradient(const CudaContext& context, const NormRows& shape, const Element* x, const Element* dy,
                         const ChannelForward* by, const ChannelBackward* back, const ReluRule& activation,
                         Element* dx) {
  launch_each_in_packs<Element>(context, "norm input gradient", shape,
                                Differentiating<Element>{x, dy, by, back, activation, dx});
}

template void norm_sums(const CudaContext&, const NormRows&, const float*, const PartialSums&,
                        const NormStatistics&);
template void norm_sums(const CudaContext&, const NormRows&, const Bf16*, const PartialSums&,
                        const NormStatistics&);
template void normalise(const CudaContext&, const NormRows&, const float*, const ChannelForward*,
                        const ReluRule&, float*);
template void normalise(const CudaContext&, const NormRows&, const Bf16*, const ChannelForward*,
                        const ReluRule&, Bf16*);
template void normalise_by_running(const CudaContext&, const NormRows&, const float*, const NormStatistics&,
                                   const ReluRule&, float*);
template void normalise_by_running(const CudaContext&, const NormRows&, const Bf16*, const NormStatistics&,
                                   const ReluRule&, Bf16*);
template void norm_gradient_sums(const CudaContext&, const NormRows&, const float*, const float*,
                                 const ChannelForward*, const ReluRule&, const PartialSums&,
                                 const NormGradients&);
template void norm_gradient_sums(const CudaContext&, const NormRows&, const Bf16*, const Bf16*,
                                 const ChannelForward*, const ReluRule&, const PartialSums&,
                                 const NormGradients&);
template void norm_input_gradient(const CudaContext&, const NormRows&, const float*, const float*,
                                  const ChannelForward*, const ChannelBackward*, const ReluRule&, float*);
template void norm_input_gradient(const CudaContext&, const NormRows&, const Bf16*, const Bf16*,
                                  const ChannelForward*, const ChannelBackward*, const ReluRule&, Bf16*);

}  // namespace descent
