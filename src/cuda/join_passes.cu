// Bound by memory: forward reads both inputs and writes y and a byte, backward reads the gradients of the sum's
// readers, that byte and what was normalised, and writes one gradient; for each the passes that write and read
// again what lies between are spared. Idea as in row_passes.h. What is not written is rounded all the same: the
// bits are those of separate passes.
#include "cuda/join_passes.h"

#include "cuda/row_passes.h"

namespace descent {

namespace {

template <class Element, int width>
__device__ void normalise_input(const ReluRule& activation, const ChannelForward (&by)[width],
                                float (&values)[width]) {
  normalise_and_activate(by, activation, values);
  round_floats<Element>(values);
}

template <class Element, bool both>
struct Joining {
  SumInput<Element> a;
  SumInput<Element> b;
  SumEnding<Element> ending;

  template <int width>
  struct Channels {
    ChannelForward a[width];
    ChannelForward b[width];
  };
  template <int width>
  __device__ Channels<width> channels(int first) const {
    Channels<width> all;
#pragma unroll
    for (int i = 0; i < width; ++i) {
      all.a[i] = a.by[first + i];
      if constexpr (both) all.b[i] = b.by[first + i];
    }
    return all;
  }
  template <int width>
  [[nodiscard]] __device__ PackPair<Element, width> load(std::int64_t at) const {
    return load_packs<width>(a.from, b.from, at);
  }
  template <int width>
  __device__ void compute(std::int64_t at, const PackPair<Element, width>& loaded,
                          const Channels<width>& all) const {
    float first[width];
    float second[width];
    to_floats(loaded.first, first);
    to_floats(loaded.second, second);
    normalise_input<Element>(a.activation, all.a, first);
    if constexpr (both) normalise_input<Element>(b.activation, all.b, second);
    ending.template finish<width>(at, first, second);
  }
};

// g, g·z of the normalisation before the sum.
template <class Element, int known>
struct JoinTerms {
  SumGradient<Element, known> gradient;
  const Element* z;
  const ChannelForward* by;
  ReluRule rule;
  using Finish = NormGradients;

  template <int width>
  struct Loaded {
    Pack<Element, width> z;
    typename SumGradient<Element, known>::template Loaded<width> gradient;
  };
  template <int width>
  [[nodiscard]] __device__ Loaded<width> load(std::int64_t at) const {
    return {load_pack<width>(z + at), gradient.template load<width>(at)};
  }
  template <int width>
  __device__ void add(std::int64_t at, const Loaded<width>& loaded, double (&first)[width],
                      double (&second)[width], const ChannelForward (&with)[width]) const {
    float gradients[width];
    float values[width];
    to_floats(loaded.z, values);
    gradient.write(at, loaded.gradient, gradients);
    add_gradient_terms(rule, with, values, gradients, first, second);
  }
  [[nodiscard]] __device__ const ChannelForward* coefficients() const { return by; }
};

}  // namespace

template <class Element>
void add_normalised(const CudaContext& context, const NormRows& shape, const SumInput<Element>& a,
                    const SumInput<Element>& b, const SumEnding<Element>& ending) {
  if (b.by != nullptr) {
    launch_each_in_packs<Element>(context, "normalise, add", shape, Joining<Element, true>{a, b, ending});
  } else {
    launch_each_in_packs<Element>(context, "normalise, add", shape, Joining<Element, false>{a, b, ending});
  }
}

template <class Element, int known>
void sum_gradient_with_sums(const CudaContext& context, const NormRows& shape,
                            const SumGradient<Element, known>& gradient, const NormHandover& of,
                            const PartialSums& sums) {
  const JoinTerms<Element, known> terms{gradient, static_cast<const Element*>(of.z), of.by, of.activation};
  launch_sums_in_packs<Element>(context, "sum gradient", shape, terms, sums, of.gradients);
}

template void add_normalised(const CudaContext&, const NormRows&, const SumInput<float>&,
                             const SumInput<float>&, const SumEnding<float>&);
template void add_normalised(const CudaContext&, const NormRows&, const SumInput<Bf16>&, const SumInput<Bf16>&,
                             const SumEnding<Bf16>&);
template void sum_gradient_with_sums(const CudaContext&, const NormRows&, const SumGradient<float, 0>&,
                                     const NormHandover&, const PartialSums&);
template void sum_gradient_with_sums(const CudaContext&, const NormRows&, const SumGradient<float, 1>&,
                                     const NormHandover&, const PartialSums&);
template void sum_gradient_with_sums(const CudaContext&, const NormRows&, const SumGradient<float, 2>&,
                                     const NormHandover&, const PartialSums&);
template void sum_gradient_with_sums(const CudaContext&, const NormRows&, const SumGradient<Bf16, 0>&,
                                     const NormHandover&, const PartialSums&);
template void sum_gradient_with_sums(const CudaContext&, const NormRows&, const SumGradient<Bf16, 1>&,
                                     const NormHandover&, const PartialSums&);
template void sum_gradient_with_sums(const CudaContext&, const NormRows&, const SumGradient<Bf16, 2>&,
                                     const NormHandover&, const PartialSums&);

}  // namespace descent
