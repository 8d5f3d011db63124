// In place of NVIDIA's libraries: convolutions by naive graphs (naive_conv_graph.cpp), for whole plans whose
// convolutions are the library's, or some of them.
#include "naive_libraries.h"

#include "cuda/layouts.h"
#include "cuda/libraries.h"
#include "cuda/library/conv_choice.h"
#include "cuda/library/kernels.h"
#include "cuda/side_stream.h"
#include "library_double.h"

#include <utility>

namespace descent {

namespace {

bool are_there = false;

class NaiveLibraries final : public CudaLibraries {
 public:
  explicit NaiveLibraries(const CudaContext& context) { side_handles_.stream = beside(context).stream; }

  [[nodiscard]] std::unique_ptr<Kernel> make_conv(const KernelRequest& request, Layout layout,
                                                  const CudaContext& context,
                                                  const KernelChoices& choices) override {
    const ConvTools tools{
        context, handles_, side_handles_, choices.tuner, TimedBatch(request.plan), choices.own_kernels};
    return layout == nhwc ? make_conv_library(request, tools) : nullptr;
  }
  [[nodiscard]] std::unique_ptr<Kernel> make_linear(const KernelRequest& /*request*/, Layout /*layout*/,
                                                    const CudaContext& /*context*/) override {
    return nullptr;
  }
  [[nodiscard]] std::vector<DeviceFact> facts() const override { return {}; }

 private:
  LibraryHandles handles_;
  LibraryHandles side_handles_;
};

}  // namespace

std::unique_ptr<CudaLibraries> open_cuda_libraries(const CudaContext& context) {
  return are_there ? std::make_unique<NaiveLibraries>(context) : nullptr;
}

namespace test {

LibrariesAreThere::LibrariesAreThere() : before_(std::exchange(are_there, true)) {}

LibrariesAreThere::~LibrariesAreThere() {
  are_there = before_;
}

}  // namespace test

}  // namespace descent
