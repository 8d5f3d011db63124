// In place of the libraries' handles: what the naive graphs can do.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>
#include <vector>

namespace descent {

class LibraryHandles {
 public:
  bool has_endings = true;  // bias, sum and activation within a graph
  // All compute the same; one called "broken" is built and then fails.
  std::vector<std::string> engines{"naive"};
  bool rounds_gradients = true;   // bf16's weight gradient is in bf16 alone
  cudaStream_t stream = nullptr;  // that graphs run on; null: the context's
  // What was asked for so far.
  mutable std::size_t lists = 0;
  mutable std::size_t runs = 0;
};

}  // namespace descent
