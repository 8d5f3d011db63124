// Batch normalisation in two passes each way, with or without the activation behind it: sums over the batch,
// then some multiplications and additions an element. Bound by memory: forward reads x twice and writes y (12
// bytes an element in f32), backward reads x and dy twice and writes dx (20 bytes); an activation adds no byte,
// because backward computes again what it was given.
#include "cuda/row_passes.h"

namespace descent {

namespace {

// The terms that are summed: x, x².
template <class Element>
struct InputTerms {
  const Element* x;
  using Finish = NormStatistics;

  template <int width>
  [[nodiscard]] __device__ Pack<Element, width> load(std::int64_t at) const {
    return load_pack<width>(x + at);
  }
  template <int width>
  __device__ void add(std::int64_t /*at*/, const Pack<Element, width>& loaded, double (&first)[width],
                      double (&second)[width], const ChannelForward (&/*by*/)[width]) const {
    float values[width];
    to_floats(loaded, values);
    add_squares(values, first, second);
  }
  [[nodiscard]] __device__ const ChannelForward* coefficients() const { return nullptr; }
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
  [[nodiscard]] __device__ PackPair<Element, width> load(std::int64_t at) const {
    return load_packs<width>(x, dy, at);
  }
  template <int width>
  __device__ void add(std::int64_t /*at*/, const PackPair<Element, width>& loaded, double (&first)[width],
                      double (&second)[width], const ChannelForward (&with)[width]) const {
    float values[width];
    float gradients[width];
    to_floats(loaded.first, values);
    to_floats(loaded.second, gradients);
    add_gradient_terms(rule, with, values, gradients, first, second);
  }
  [[nodiscard]] __device__ const ChannelForward* coefficients() const { return by; }
};

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
  [[nodiscard]] __device__ Pack<Element, width> load(std::int64_t at) const {
    return load_pack<width>(x + at);
  }
  template <int width>
  __device__ void compute(std::int64_t at, const Pack<Element, width>& loaded,
                          const Channels<width>& all) const {
    float values[width];
    to_floats(loaded, values);
    normalise_and_activate(all.by, rule, values);
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
  [[nodiscard]] __device__ PackPair<Element, width> load(std::int64_t at) const {
    return load_packs<width>(x, dy, at);
  }
  template <int width>
  __device__ void compute(std::int64_t at, const PackPair<Element, width>& loaded,
                          const Channels<width>& all) const {
    float values[width];
    float gradients[width];
    to_floats(loaded.first, values);
    to_floats(loaded.second, gradients);
    gradient_before_norm(all.by, all.back, rule, values, gradients);
    store_floats<width>(dx + at, gradients);
  }
};

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
