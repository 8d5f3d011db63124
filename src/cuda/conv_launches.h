// The kernels that gather_product() chooses from: conv_direct.cu, conv_dots.cu, conv_pictures.cu,
// conv_tiles_*.cu.
#pragma once

#include "cuda/conv_passes.h"

namespace descent {

// Taps × input channels that conv_few() keeps the weights of.
inline constexpr int most_few_products = 128;

// One group, a table of taps, few products.
template <class Element>
void launch_conv_few(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                     const Element* source, const float* weights, Element* destination);

// Where PictureTiles::of() finds tiles. `source`: elements, or what they are made from on the way.
template <class Element, class Source>
void launch_conv_pictures(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                          const Source& source, const float* weights, Element* destination);

// A table of taps.
template <class Element>
void launch_conv_tiles(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                       const Element* source, const float* weights, Element* destination);

// Forward, a table of taps, and few sums altogether; takes no sums a channel.
template <class Element>
void launch_conv_dots(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                      const Element* source, const float* weights, Element* destination);

// Everything; takes no sums.
template <class Element>
void launch_conv_each(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                      const Element* source, const float* weights, Element* destination);

}  // namespace descent
