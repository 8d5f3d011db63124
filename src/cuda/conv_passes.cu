// Which kernel computes a convolution.
#include "cuda/conv_passes.h"

#include "cuda/conv_launches.h"
#include "cuda/picture_tiles.h"

namespace descent {

namespace {

enum class Kind { few, tiles, each };

Kind kind_of(const Gather& gather) {
  if (!gather.has_table) return Kind::each;
  const bool narrow = gather.in < 4 || gather.out < 4;
  if (gather.groups == 1 && gather.in < 4 && gather.kernel() * gather.in <= most_few_products) return Kind::few;
  // With few channels a group, tiles would be mostly padding.
  return gather.groups > 1 && narrow ? Kind::each : Kind::tiles;
}

// Forward; so few that tiles of them would leave most multiprocessors idle.
bool has_few_sums(const Gather& gather) {
  constexpr std::int64_t few_sums = 2048;
  const std::int64_t sums = std::int64_t{gather.cells(0)} * gather.destination_channels();
  return !gather.rows.backward && gather.has_table && sums <= few_sums;
}

}  // namespace

bool takes_sums(const Gather& gather) {
  return kind_of(gather) != Kind::each;
}

bool takes_gradient_sums(const CudaContext& context, const Gather& gather) {
  return gather.out % 4 == 0 && PictureTiles::of(context, gather);
}

// All of the source has to pass by: others read what is written. Not where conv_dots() computes it from a
// source that is there: a step whose layers are watched, and all written, has the bits of one that is not.
bool makes_source(const CudaContext& context, const Gather& gather) {
  if (has_few_sums(gather)) return false;
  if (gather.in % 4 != 0 || gather.in > PictureTiles::most_source_channels) return false;
  const auto tiles = PictureTiles::of(context, gather);
  return tiles && tiles->loads_all(gather);
}

// Bound: the weights a cell reads, again and again, through the second cache.
template <class Element>
bool suits_dots(const Gather& gather, const ConvEnding<Element>& ending) {
  return ending.sums.partial == nullptr && has_few_sums(gather);
}

// Loading whole pictures pays where the way back falls into phases, and where sums are taken; for answers to
// 1024 and in first layers the others are faster (`convnet` on an H100: 0.068 against 0.079 ms, and 27 against
// 29 µs). Whether sums are taken here must not matter: a step that is watched has the bits of one that is not.
template <class Element>
bool suits_pictures(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending) {
  const bool worth = gather.rows.backward || (ending.trains && kind_of(gather) != Kind::few);
  return worth && PictureTiles::of(context, gather);
}

template <class Element>
void gather_product(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                    const Element* source, const float* weights, Element* destination) {
  if (suits_dots(gather, ending))
    return launch_conv_dots(context, gather, ending, source, weights, destination);
  if (suits_pictures(context, gather, ending))
    return launch_conv_pictures(context, gather, ending, source, weights, destination);
  switch (kind_of(gather)) {
    case Kind::few:
      return launch_conv_few(context, gather, ending, source, weights, destination);
    case Kind::tiles:
      return launch_conv_tiles(context, gather, ending, source, weights, destination);
    case Kind::each:
      return launch_conv_each(context, gather, ending, source, weights, destination);
  }
}

template <class Element, template <class> class Made>
void gather_product(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                    const Made<Element>& source, const float* weights, Element* destination) {
  launch_conv_pictures(context, gather, ending, source, weights, destination);
}

template void gather_product(const CudaContext&, const Gather&, const ConvEnding<float>&,
                             const NormalisedSource<float>&, const float*, float*);
template void gather_product(const CudaContext&, const Gather&, const ConvEnding<Bf16>&,
                             const NormalisedSource<Bf16>&, const float*, Bf16*);
template void gather_product(const CudaContext&, const Gather&, const ConvEnding<float>&,
                             const OutputGradient<float>&, const float*, float*);
template void gather_product(const CudaContext&, const Gather&, const ConvEnding<Bf16>&,
                             const OutputGradient<Bf16>&, const float*, Bf16*);
template void gather_product(const CudaContext&, const Gather&, const ConvEnding<float>&, const float*,
                             const float*, float*);
template void gather_product(const CudaContext&, const Gather&, const ConvEnding<Bf16>&, const Bf16*,
                             const float*, Bf16*);

}  // namespace descent
