// Counterpart of src/cuda/intrinsics.h on the host.
#pragma once

#include <cuda_runtime.h>

namespace descent {

// Kernels of a stream run one after the other here.
inline void follow() {}

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(cuda_host::dynamic_shared());
}

}  // namespace descent
