// The libraries' handles, and how their errors are told. For files of this folder alone.
#pragma once

#include "cuda/context.h"
#include "descent/error.h"

#include <cublasLt.h>
#include <cudnn.h>

#include <string_view>

namespace descent {

// Throw Error "cudnnCreate failed: CUDNN_STATUS_…".
void check(cudnnStatus_t status, std::string_view call);
void check(cublasStatus_t status, std::string_view call);

class LibraryHandles {
 public:
  explicit LibraryHandles(const CudaContext& context);  // both work on context.stream
  ~LibraryHandles();
  LibraryHandles(const LibraryHandles&) = delete;
  LibraryHandles& operator=(const LibraryHandles&) = delete;

  [[nodiscard]] cudnnHandle_t cudnn() const { return cudnn_; }
  [[nodiscard]] cublasLtHandle_t blas() const { return blas_; }

 private:
  cudnnHandle_t cudnn_ = nullptr;
  cublasLtHandle_t blas_ = nullptr;
};

}  // namespace descent
