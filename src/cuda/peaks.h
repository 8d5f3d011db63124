// What the GPU computes and copies at most.
#pragma once

#include "cuda/context.h"
#include "descent/device.h"

namespace descent {

[[nodiscard]] Peaks measure_cuda_peaks(const CudaContext& context);

}  // namespace descent
