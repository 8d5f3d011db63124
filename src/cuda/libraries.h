// NVIDIA's libraries as makers of kernels: cuDNN for convolutions, cuBLASLt for matrix products. No other file
// of this folder includes their headers. On the host, tests/cuda_host/naive_libraries.cpp takes their place.
#pragma once

#include "cuda/context.h"
#include "plan/kernel.h"

#include <memory>
#include <vector>

namespace descent {

class CudaTuner;

// How a kernel of several parts chooses among those that could compute each.
struct KernelChoices {
  CudaTuner& tuner;
  bool own_kernels = true;  // parts may be descent's own
};

class CudaLibraries {
 public:
  virtual ~CudaLibraries() = default;
  CudaLibraries() = default;
  CudaLibraries(const CudaLibraries&) = delete;
  CudaLibraries& operator=(const CudaLibraries&) = delete;

  // {"cuDNN", "9.2.0"}, {"cuBLASLt", "13.0"}
  [[nodiscard]] virtual std::vector<DeviceFact> facts() const = 0;
  // Null where the library has no kernel for the unit in this layout. Units as make_cuda_kernel gets them.
  [[nodiscard]] virtual std::unique_ptr<Kernel> make_conv(const KernelRequest& request, Layout layout,
                                                          const CudaContext& context,
                                                          const KernelChoices& choices) = 0;
  [[nodiscard]] virtual std::unique_ptr<Kernel> make_linear(const KernelRequest& request, Layout layout,
                                                            const CudaContext& context) = 0;
};

// Null where there are none. Throws Error, in one sentence, if one of them cannot be loaded.
[[nodiscard]] std::unique_ptr<CudaLibraries> open_cuda_libraries(const CudaContext& context);

}  // namespace descent
