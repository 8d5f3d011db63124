// The kernels of conv_tiles.h for f32.
#include "cuda/conv_tiles_launch.h"

namespace descent {

template void launch_conv_tiles(const CudaContext&, const Gather&, const ConvEnding<float>&, const float*,
                                const float*, float*);

}  // namespace descent
