// The CUDA device lies in a library of its own, so that one program runs on machines with and without a GPU.
#pragma once

#include "descent/device.h"

#include <memory>

namespace descent {

// What libdescent_cuda.so exports. Throws Error; `version` must be the one that the library was built as.
extern "C" using CudaDeviceMaker = Device * (const char* version, int ordinal, const DeviceOptions& options);
inline constexpr const char* cuda_device_maker = "descent_cuda_device";

// Loads the library, from beside the program or descent's library, and asks it for GPU `ordinal`. Throws Error:
// one sentence that names what is missing (library, cuDNN, driver, GPU).
[[nodiscard]] std::unique_ptr<Device> open_cuda_device(int ordinal, const DeviceOptions& options);

}  // namespace descent
