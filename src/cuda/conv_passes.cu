// Which kernel computes a convolution.
#include "cuda/conv_passes.h"

#include "cuda/conv_launches.h"

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

}  // namespace

bool takes_sums(const Gather& gather) {
  return kind_of(gather) != Kind::each;
}

template <class Element>
void gather_product(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                    const Element* source, const float* weights, Element* destination) {
  switch (kind_of(gather)) {
    case Kind::few:
      return launch_conv_few(context, gather, ending, source, weights, destination);
    case Kind::tiles:
      return launch_conv_tiles(context, gather, ending, source, weights, destination);
    case Kind::each:
      return launch_conv_each(context, gather, ending, source, weights, destination);
  }
}

template void gather_product(const CudaContext&, const Gather&, const ConvEnding<float>&, const float*,
                             const float*, float*);
template void gather_product(const CudaContext&, const Gather&, const ConvEnding<Bf16>&, const Bf16*,
                             const float*, Bf16*);

}  // namespace descent
