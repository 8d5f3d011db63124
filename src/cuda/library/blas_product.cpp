#include "cuda/library/blas_product.h"

#include "cuda/library/handles.h"

#include <fmt/format.h>

namespace descent {

namespace {

// What NVIDIA advises for Hopper; older ones take what they need of it.
constexpr std::size_t most_workspace = std::size_t{32} << 20U;
// Of every address that is given: the library would take 256 bytes for granted.
constexpr std::uint32_t alignment = 16;

template <class Value>
void set(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
  check(cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value),
        "cublasLtMatmulDescSetAttribute");
}

template <class Value>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         const Value& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

}  // namespace

BlasProduct::Owner<cublasLtMatrixLayout_t> BlasProduct::layout(std::int64_t rows, std::int64_t columns) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, CUDA_R_32F, static_cast<std::uint64_t>(rows),
                                   static_cast<std::uint64_t>(columns), rows),
        "cublasLtMatrixLayoutCreate");
  return Owner<cublasLtMatrixLayout_t>(made);
}

std::optional<BlasProduct> BlasProduct::make(const LibraryHandles& handles, const CudaContext& context,
                                             const Problem& problem) {
  BlasProduct product;
  product.bias_ = problem.bias;
  cublasLtMatmulDesc_t description = nullptr;
  check(cublasLtMatmulDescCreate(&description, context.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                 CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  product.description_.reset(description);
  const cublasOperation_t a = problem.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t b = problem.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  set(description, CUBLASLT_MATMUL_DESC_TRANSA, a);
  set(description, CUBLASLT_MATMUL_DESC_TRANSB, b);
  if (problem.bias) {
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    set(description, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    // The choice of the algorithm looks at the bias's alignment, not at what lies there.
    set(description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, std::uintptr_t{alignment});
  }
  product.a_ = problem.transpose_a ? layout(problem.k, problem.m) : layout(problem.m, problem.k);
  product.b_ = problem.transpose_b ? layout(problem.n, problem.k) : layout(problem.k, problem.n);
  product.d_ = layout(problem.m, problem.n);

  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
  const Owner<cublasLtMatmulPreference_t> preference(made);
  set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
  // A sum over k in parts: only where the parts are added up in a step of its own, in their order.
  const std::uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  set(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes);
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    set(made, attribute, alignment);
  }
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handles.blas(), description, product.a_.get(), product.b_.get(),
                                     product.d_.get(), product.d_.get(), made, 1, &product.heuristic_, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || found == 0) return std::nullopt;
  check(status, "cublasLtMatmulAlgoGetHeuristic");
  if (product.heuristic_.state != CUBLAS_STATUS_SUCCESS) return std::nullopt;
  return product;
}

std::string BlasProduct::algorithm() const {
  int id = -1;
  std::size_t written = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoConfigGetAttribute(&heuristic_.algo, CUBLASLT_ALGO_CONFIG_ID, &id, sizeof id, &written);
  return status == CUBLAS_STATUS_SUCCESS ? fmt::format("cublasLt:{}", id) : std::string("cublasLt");
}

void BlasProduct::run(const LibraryHandles& handles, const CudaContext& context, const float* a, const float* b,
                      float* d, const float* bias, void* workspace) const {
  if (bias_) set(description_.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  const float one = 1;
  const float zero = 0;
  check(cublasLtMatmul(handles.blas(), description_.get(), &one, a, a_.get(), b, b_.get(), &zero, d, d_.get(),
                       d, d_.get(), &heuristic_.algo, workspace, heuristic_.workspaceSize, context.stream),
        "cublasLtMatmul");
}

}  // namespace descent
