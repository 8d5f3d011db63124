// The kernels of conv_tiles.h for bf16.
#include "cuda/conv_tiles_launch.h"

namespace descent {

template void launch_conv_tiles(const CudaContext&, const Gather&, const ConvEnding<Bf16>&, const Bf16*,
                                const float*, Bf16*);

}  // namespace descent
