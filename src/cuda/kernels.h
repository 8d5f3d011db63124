// Descent's own CUDA kernels. Each factory takes the request of a unit and the layout in which the kernel is to
// read and write; the type of its elements is the request's output type (f32 or bf16), sums are in f32 or
// wider.
//
// forward() and backward() only enqueue on the device's stream: they neither wait nor allocate, and they may be
// recorded once and replayed, so what changes from step to step is read from CudaContext::moment.
// All give the same bits run after run: sums add up in a fixed order, nothing is added atomically.
#pragma once

#include "cuda/context.h"
#include "cuda/layouts.h"
#include "plan/kernel.h"

#include <cstddef>
#include <memory>

namespace descent {

// One overload an operation; the factory takes the one of a unit's first operation.

// Element by element, in any layout. A sum alone, or with the activation behind it.
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const GeneralRelu& op, const KernelRequest& request,
                                                       Layout layout, const CudaContext& context);
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const Add& op, const KernelRequest& request,
                                                       Layout layout, const CudaContext& context);

// Plain layout alone: numbers of elements mean something. The loss in f32 whatever the plan's precision.
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const Flatten& op, const KernelRequest& request,
                                                       Layout layout, const CudaContext& context);
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const Dropout& op, const KernelRequest& request,
                                                       Layout layout, const CudaContext& context);
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const SoftmaxCrossEntropy& op,
                                                       const KernelRequest& request, Layout layout,
                                                       const CudaContext& context);

// In both layouts.
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const AvgPool& op, const KernelRequest& request,
                                                       Layout layout, const CudaContext& context);
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const MaxPool& op, const KernelRequest& request,
                                                       Layout layout, const CudaContext& context);
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const GlobalAvgPool& op, const KernelRequest& request,
                                                       Layout layout, const CudaContext& context);
// Alone, or with the activation behind it. Channels-last, or plain where there are no pixels.
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const BatchNorm& op, const KernelRequest& request,
                                                       Layout layout, const CudaContext& context);

// Convolution of any shape in channels-last, with what follows it: in training batch normalisation and
// activation, for inference batch normalisation, a residual sum and an activation; each of them may be missing.
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const Conv& op, const KernelRequest& request,
                                                       Layout layout, const CudaContext& context);
// The same behind a linear layer. Plain.
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_kernel(const Linear& op, const KernelRequest& request,
                                                       Layout layout, const CudaContext& context);

// Backward half of a value that several layers read: the sum of their gradients.
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_gradient_sum(const TensorDesc& desc, std::size_t branches,
                                                             const CudaContext& context);
// Between the layouts and types.
[[nodiscard]] std::unique_ptr<Kernel> make_cuda_reorder(const TensorDesc& from, Format to, bool gradient,
                                                        const CudaContext& context);

}  // namespace descent
