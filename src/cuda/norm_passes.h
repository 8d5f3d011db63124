// The passes of batch normalisation over rows × channels, channels innermost.
#pragma once

#include "cuda/context.h"
#include "cuda/norm_ends.h"
#include "plan/relu_rule.h"

#include <cstddef>
#include <cstdint>

namespace descent {

// y = x, where no activation follows.
inline constexpr GeneralRelu no_activation{.leak = 1};

struct NormRows {
  std::int64_t rows = 0;
  int channels = 0;

  [[nodiscard]] std::size_t partial_bytes() const {
    return static_cast<std::size_t>(most_parts * channels) * sizeof(ChannelSums);
  }
  [[nodiscard]] std::size_t counter_bytes() const {
    return static_cast<std::size_t>(channels) * sizeof(unsigned);
  }
};

// What a trained normalisation hands over to its neighbour (neighbours.h).
struct NormHandover {
  const void* z = nullptr;  // what is normalised, of the gradient's type
  const ChannelForward* by = nullptr;
  ReluRule activation;  // behind the normalisation
  void* y = nullptr;    // where activation((z − centre)·slope + shift) goes, where others need it
  // Where the sums of the output's gradient go.
  unsigned* counters = nullptr;
  NormGradients gradients;
};

// Σx, Σx² a channel.
template <class Element>
void norm_sums(const CudaContext& context, const NormRows& shape, const Element* x, const PartialSums& sums,
               const NormStatistics& statistics);

// y = activation((x − centre)·slope + shift)
template <class Element>
void normalise(const CudaContext& context, const NormRows& shape, const Element* x, const ChannelForward* by,
               const ReluRule& activation, Element* y);

// With the running statistics, which need no sums.
template <class Element>
void normalise_by_running(const CudaContext& context, const NormRows& shape, const Element* x,
                          const NormStatistics& running, const ReluRule& activation, Element* y);

// Σg, Σg·x a channel, where g is dy through the activation.
template <class Element>
void norm_gradient_sums(const CudaContext& context, const NormRows& shape, const Element* x, const Element* dy,
                        const ChannelForward* by, const ReluRule& activation, const PartialSums& sums,
                        const NormGradients& gradients);

// dx = (x − centre)·slope + (g·gain + shift)
template <class Element>
void norm_input_gradient(const CudaContext& context, const NormRows& shape, const Element* x, const Element* dy,
                         const ChannelForward* by, const ChannelBackward* back, const ReluRule& activation,
                         Element* dx);

}  // namespace descent
