#include "cuda/check.h"

#include "descent/error.h"

#include <fmt/format.h>

namespace descent {

void check(cudaError_t status, std::string_view call) {
  if (status == cudaSuccess) return;
  throw Error(fmt::format("{} failed: {} ({})", call, cudaGetErrorString(status), cudaGetErrorName(status)),
              Fault::failure);
}

}  // namespace descent
