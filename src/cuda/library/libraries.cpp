#include "cuda/libraries.h"

#include "cuda/layouts.h"
#include "cuda/library/conv_choice.h"
#include "cuda/library/handles.h"
#include "cuda/library/kernels.h"
#include "cuda/side_stream.h"

#include <fmt/format.h>

#include <string>

namespace descent {

void check(cudnnStatus_t status, std::string_view call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw Error(fmt::format("{} failed: {}", call, cudnnGetErrorString(status)), Fault::failure);
}

void check(cublasStatus_t status, std::string_view call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(fmt::format("{} failed: {}", call, cublasLtGetStatusString(status)), Fault::failure);
}

LibraryHandles::LibraryHandles(const CudaContext& context) {
  check(cudnnCreate(&cudnn_), "cudnnCreate");
  try {
    check(cudnnSetStream(cudnn_, context.stream), "cudnnSetStream");
    check(cublasLtCreate(&blas_), "cublasLtCreate");  // the stream is named with each call
  } catch (...) {
    cudnnDestroy(cudnn_);
    throw;
  }
}

// At the end of the process a driver may be gone already: nothing is to be done about errors here.
LibraryHandles::~LibraryHandles() {
  cublasLtDestroy(blas_);
  cudnnDestroy(cudnn_);
}

namespace {

std::string three_parts(std::size_t version, std::size_t large, std::size_t small) {
  return fmt::format("{}.{}.{}", version / large, version % large / small, version % small);
}

class NvidiaLibraries final : public CudaLibraries {
 public:
  explicit NvidiaLibraries(const CudaContext& context) : handles_(context), side_handles_(beside(context)) {}

  [[nodiscard]] std::unique_ptr<Kernel> make_conv(const KernelRequest& request, Layout layout,
                                                  const CudaContext& context,
                                                  const KernelChoices& choices) override {
    const ConvTools tools{
        context, handles_, side_handles_, choices.tuner, TimedBatch(request.plan), choices.own_kernels};
    return layout == nhwc ? make_conv_library(request, tools) : nullptr;
  }
  [[nodiscard]] std::unique_ptr<Kernel> make_linear(const KernelRequest& request, Layout layout,
                                                    const CudaContext& context) override {
    return layout == nchw ? make_linear_library(request, context, handles_) : nullptr;
  }
  [[nodiscard]] std::vector<DeviceFact> facts() const override {
    return {{"cuDNN", three_parts(cudnnGetVersion(), 10000, 100)},
            {"cuBLASLt", three_parts(cublasLtGetVersion(), 10000, 100)}};
  }

 private:
  LibraryHandles handles_;
  LibraryHandles side_handles_;
};

}  // namespace

std::unique_ptr<CudaLibraries> open_cuda_libraries(const CudaContext& context) {
  return std::make_unique<NvidiaLibraries>(context);
}

}  // namespace descent
