// Kernels through NVIDIA's libraries; see cuda/libraries.h.
#pragma once

#include "cuda/context.h"
#include "plan/kernel.h"

#include <memory>

namespace descent {

class LibraryHandles;
struct ConvTools;

[[nodiscard]] std::unique_ptr<Kernel> make_conv_library(const KernelRequest& request, const ConvTools& tools);
[[nodiscard]] std::unique_ptr<Kernel> make_linear_library(const KernelRequest& request,
                                                          const CudaContext& context,
                                                          const LibraryHandles& handles);

}  // namespace descent
