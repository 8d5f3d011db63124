// The sum of two values with the activation behind it, in training, where a trained normalisation wrote one of
// them, or both: it is normalised where it is loaded, and the sums that the normalisation begins its backward
// with are taken where the gradient is written.
#pragma once

#include "cuda/activation.h"
#include "cuda/branches.h"
#include "cuda/norm_passes.h"

namespace descent {

// What a gradient is multiplied with, a byte an element: a quarter of what keeping the sum would cost.
enum class Slope : std::uint8_t { none, leak, one };

// y = activation(a + b); with what the gradient will be multiplied with, if `slopes` is not null.
template <class Element>
struct SumEnding {
  ReluRule rule;
  Element* y;
  Slope* slopes;

  template <int width>
  __device__ void finish(std::int64_t at, const float (&a)[width], const float (&b)[width]) const {
    float values[width];
    Pack<Slope, width> kept;
    by_least_rule(rule, [&](const auto& least) {
#pragma unroll
      for (int i = 0; i < width; ++i) {
        const float sum = a[i] + b[i];
        values[i] = least.value(sum);
        const Slope slope = sum > 0 ? Slope::one : Slope::leak;
        kept.values[i] = least.passes(sum) ? slope : Slope::none;
      }
    });
    store_floats<width>(y + at, values);
    if (slopes != nullptr) store_pack<width>(slopes + at, kept);
  }
};

// The gradient of both inputs, from those of the sum's readers.
template <class Element, int known>
struct SumGradient {
  Branches<Element, known> branches;
  const Slope* slopes;
  float leak;
  Element* gradient;

  template <int width>
  struct Loaded {
    typename Branches<Element, known>::template Loaded<width> branches;
    Pack<Slope, width> kept;
  };
  template <int width>
  [[nodiscard]] __device__ Loaded<width> load(std::int64_t at) const {
    return {branches.template load<width>(at), load_pack<width>(slopes + at)};
  }
  // Leaves in `values` what it has written.
  template <int width>
  __device__ void write(std::int64_t at, const Loaded<width>& loaded, float (&values)[width]) const {
    branches.sum(loaded.branches, values);
#pragma unroll
    for (int i = 0; i < width; ++i) {
      const Slope slope = loaded.kept.values[i];
      const float leaky = slope == Slope::leak ? leak * values[i] : 0.0F;
      values[i] = slope == Slope::one ? values[i] : leaky;
    }
    const Pack<Element, width> pack = to_pack<Element>(values);
    store_pack<width>(gradient + at, pack);
    to_floats(pack, values);
  }
};

// An input of the sum; `by` is null where it is loaded as it is.
template <class Element>
struct SumInput {
  const Element* from = nullptr;
  const ChannelForward* by = nullptr;
  ReluRule activation{no_activation};
};

// One input at least is normalised: `a`.
template <class Element>
void add_normalised(const CudaContext& context, const NormRows& shape, const SumInput<Element>& a,
                    const SumInput<Element>& b, const SumEnding<Element>& ending);

// Writes the gradient and sums up what `of` asks for, as norm_gradient_sums() would. `known`: 0 to 2.
template <class Element, int known>
void sum_gradient_with_sums(const CudaContext& context, const NormRows& shape,
                            const SumGradient<Element, known>& gradient, const NormHandover& of,
                            const PartialSums& sums);

}  // namespace descent
