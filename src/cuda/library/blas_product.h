// A product of two f32 matrices through cuBLASLt, with its algorithm chosen once.
#pragma once

#include "cuda/context.h"

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

namespace descent {

class LibraryHandles;

// cuBLASLt's matrices lie column by column, ours row by row, so ours are read as their transposes: what is
// below called m×n with columns is n×m with rows to everybody else.
class BlasProduct {
 public:
  // D = op(A)·op(B), m×n, the sum over k; leading dimensions are the rows' lengths of our matrices.
  struct Problem {
    std::int64_t m = 0;
    std::int64_t n = 0;
    std::int64_t k = 0;
    bool transpose_a = false;
    bool transpose_b = false;
    bool bias = false;  // one a row of D (m)
  };

  // Nothing if the library has no algorithm for it.
  [[nodiscard]] static std::optional<BlasProduct> make(const LibraryHandles& handles,
                                                       const CudaContext& context, const Problem& problem);

  [[nodiscard]] std::size_t workspace_bytes() const { return heuristic_.workspaceSize; }
  [[nodiscard]] std::string algorithm() const;

  void run(const LibraryHandles& handles, const CudaContext& context, const float* a, const float* b, float* d,
           const float* bias, void* workspace) const;

 private:
  struct Release {
    void operator()(cublasLtMatmulDesc_t description) const noexcept { cublasLtMatmulDescDestroy(description); }
    void operator()(cublasLtMatrixLayout_t layout) const noexcept { cublasLtMatrixLayoutDestroy(layout); }
    void operator()(cublasLtMatmulPreference_t preference) const noexcept {
      cublasLtMatmulPreferenceDestroy(preference);
    }
  };
  template <class Handle>
  using Owner = std::unique_ptr<std::remove_pointer_t<Handle>, Release>;

  [[nodiscard]] static Owner<cublasLtMatrixLayout_t> layout(std::int64_t rows, std::int64_t columns);

  BlasProduct() = default;

  bool bias_ = false;
  Owner<cublasLtMatmulDesc_t> description_;
  Owner<cublasLtMatrixLayout_t> a_;
  Owner<cublasLtMatrixLayout_t> b_;
  Owner<cublasLtMatrixLayout_t> d_;
  cublasLtMatmulHeuristicResult_t heuristic_{};
};

}  // namespace descent
