// The one function that libdescent_cuda.so exports.
#include "cuda/device.h"
#include "descent/error.h"
#include "plan/cuda_library.h"

#include <string>
#include <string_view>

namespace descent {

extern "C" Device* descent_cuda_device(const char* version, int ordinal, const DeviceOptions& options) {
  if (std::string_view(version) != DESCENT_VERSION) {
    throw Error("libdescent_cuda.so belongs to descent " DESCENT_VERSION ", and this is descent " +
                std::string(version));
  }
  return std::make_unique<CudaDevice>(ordinal, options).release();
}

}  // namespace descent
