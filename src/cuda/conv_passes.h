// The passes of a convolution, channels innermost. Kernels: conv_pictures.cu, conv_tiles.cu, conv_direct.cu,
// conv_weights.cu.
#pragma once

#include "cuda/channel_sums.h"
#include "cuda/context.h"
#include "cuda/gather.h"
#include "cuda/norm_passes.h"
#include "plan/element.h"
#include "plan/relu_rule.h"

#include <cmath>
#include <cstddef>

namespace descent {

// Σg, Σg·z a channel of a normalisation, where the gradient of its (activated) output is written; g is that
// gradient through the activation.
template <class Element>
struct GradientSums {
  const Element* z = nullptr;  // null: none are taken
  const ChannelForward* by = nullptr;
  ReluRule activation{no_activation};
  NormGradients gradients{};
};

// What becomes of a sum before it is written: y = activation(sum·slope + shift + residual). Slope and shift
// take in the bias and, in inference, batch normalisation with its running statistics.
template <class Element>
struct ConvEnding {
  const float* bias = nullptr;
  // Inference: all four, or none.
  const float* scale = nullptr;
  const float* shift = nullptr;
  const float* mean = nullptr;
  const float* variance = nullptr;
  double eps = 0;

  const Element* residual = nullptr;
  Element* before = nullptr;  // also writes what the activation was given
  bool activates = false;
  ReluRule activation{no_activation};

  bool trains = false;
  // Training: Σy, Σy² a channel of what is written. Only where takes_sums() says so.
  PartialSums sums{};
  NormStatistics statistics{};
  // Backward, instead: those of what is written. Only where takes_gradient_sums() says so.
  GradientSums<Element> gradient_sums{};

  struct Channel {
    float slope, shift;
  };
  [[nodiscard]] __device__ Channel channel(int number) const {
    const float plain = bias == nullptr ? 0.0F : bias[number];
    if (scale == nullptr) return {1.0F, plain};
    const double slope =
        static_cast<double>(scale[number]) / std::sqrt(static_cast<double>(variance[number]) + eps);
    const double moved = (static_cast<double>(plain) - static_cast<double>(mean[number])) * slope +
                         static_cast<double>(shift[number]);
    return {static_cast<float>(slope), static_cast<float>(moved)};
  }
};

// Every destination cell of the gather. Plain OIHW weights.
template <class Element>
void gather_product(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                    const Element* source, const float* weights, Element* destination);

// Whether the ending's sums are taken for this gather; else a pass of their own must.
[[nodiscard]] bool takes_sums(const Gather& gather);

// Whether it takes the ending's gradient_sums.
[[nodiscard]] bool takes_gradient_sums(const CudaContext& context, const Gather& gather);

// dz from z and dy, where the convolution's output went on through normalisation and activation:
// dz = (z − centre)·slope + (g·gain + shift), g being dy through the activation. Without z: dz is dy.
template <class Element>
struct OutputGradient {
  const Element* dy = nullptr;
  const Element* z = nullptr;
  const ChannelForward* by = nullptr;     // null: no normalisation
  const ChannelBackward* back = nullptr;  // null: no normalisation
  ReluRule activation{no_activation};
  Element* dz = nullptr;  // written for others, if not null
};

// A source that is normalised and activated where it is loaded: y from z, and written.
template <class Element>
struct NormalisedSource {
  const Element* z = nullptr;
  const ChannelForward* by = nullptr;
  ReluRule activation{no_activation};
  Element* y = nullptr;
};

// From a source that is made on the way, and written: forward a NormalisedSource, backward an OutputGradient
// through a normalisation. Only where makes_source() says so.
template <class Element, template <class> class Made>
void gather_product(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                    const Made<Element>& source, const float* weights, Element* destination);
[[nodiscard]] bool makes_source(const CudaContext& context, const Gather& gather);

// How the sum over cells is cut: so many outputs a block, so many parts.
struct WeightTiles {
  int high = 4;      // rows of weights, channels × taps, that a thread sums up
  int depth = 1;     // rows of a block
  int channels = 1;  // of them; a power of two
  int taps = 1;      // at most
  int chunks = 1;    // of the taps
  int blocks = 1;    // of the input channels
  int outputs = 8;   // output channels of a block; a power of two
  int output_tiles = 1;
  int cells = 64;  // of a slice in shared memory; a power of two
  int cells_log = 6;
  int x_packs_log = 0;   // of a block's channels
  int dz_packs_log = 0;  // of a block's outputs
  int parts = 1;
  int part_cells = 64;  // of a part; a multiple of `cells`

  explicit WeightTiles(const Gather& forward);
  [[nodiscard]] constexpr int tiles(const Gather& forward) const {
    return forward.groups * output_tiles * blocks * chunks;
  }
  [[nodiscard]] constexpr int rows() const { return (depth + high - 1) / high * high; }
  // From cell to cell in a slice: packs of neighbouring cells keep to banks of their own.
  [[nodiscard]] constexpr int x_pitch() const { return rows() % 16 == 0 ? rows() + 8 : rows(); }
  [[nodiscard]] constexpr int team_threads() const { return rows() / high * (outputs / 4); }
  [[nodiscard]] constexpr int tile_floats() const { return rows() * outputs + outputs; }
  [[nodiscard]] std::size_t shared_bytes() const;
  [[nodiscard]] std::size_t partial_bytes(const Gather& forward) const;
};

struct WeightGradients {
  float* partial = nullptr;
  float* weights = nullptr;  // plain OIHW
  float* bias = nullptr;     // may be null
  bool bias_is_zero = false;
};

template <class Element>
void weight_gradient(const CudaContext& context, const Gather& forward, const Element* x,
                     const OutputGradient<Element>& gradient, const WeightGradients& to);

}  // namespace descent
