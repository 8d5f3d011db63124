// The CPU's own kernels: loops over an OpenMP team. Each factory takes the request of a unit of one layer
// and the layout in which the kernel is to read and write.
//
// All give the same bits run after run and for every number of threads: work is cut at fixed places, and
// sums over pictures add up in a fixed order.
#pragma once

#include "cpu/context.h"
#include "cpu/layouts.h"
#include "plan/kernel.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace descent {

// Element by element, in any layout.
[[nodiscard]] std::unique_ptr<Kernel> make_general_relu(const KernelRequest& request, Layout layout,
                                                        const CpuContext& context);
[[nodiscard]] std::unique_ptr<Kernel> make_add(const KernelRequest& request, Layout layout,
                                               const CpuContext& context);
// A sum and the activation behind it.
[[nodiscard]] std::unique_ptr<Kernel> make_add_relu(const KernelRequest& request, Layout layout,
                                                    const CpuContext& context);
// Backward half of a value that several layers read: the sum of their gradients.
[[nodiscard]] std::unique_ptr<Kernel> make_gradient_sum(const TensorDesc& desc, std::size_t branches,
                                                        const CpuContext& context);

// Plain layout alone: numbers of elements mean something.
[[nodiscard]] std::unique_ptr<Kernel> make_flatten(const KernelRequest& request);
[[nodiscard]] std::unique_ptr<Kernel> make_dropout(const KernelRequest& request, const CpuContext& context);
[[nodiscard]] std::unique_ptr<Kernel> make_softmax_cross_entropy(const KernelRequest& request,
                                                                 const CpuContext& context);

// In every layout of cpu/layouts.h; global average pooling in all but n16chw.
[[nodiscard]] std::unique_ptr<Kernel> make_avg_pool(const KernelRequest& request, Layout layout,
                                                    const CpuContext& context);
[[nodiscard]] std::unique_ptr<Kernel> make_max_pool(const KernelRequest& request, Layout layout,
                                                    const CpuContext& context);
[[nodiscard]] std::unique_ptr<Kernel> make_global_avg_pool(const KernelRequest& request, Layout layout,
                                                           const CpuContext& context);
// Alone, or with the activation behind it.
[[nodiscard]] std::unique_ptr<Kernel> make_batch_norm_loops(const KernelRequest& request, Layout layout,
                                                            const CpuContext& context);

// Convolution of any shape in the plain layout: for shapes that the library has no fast code for.
[[nodiscard]] std::unique_ptr<Kernel> make_conv_loops(const KernelRequest& request, const CpuContext& context);

// Convolution without groups and, in training, what follows it: batch normalisation, activation. In the layout
// n16chw, in bf16 n32chw. With `left`, as where the reader takes over what it can (cpu/lanes_neighbours.h).
enum class LanesOutput : std::uint8_t { written, left };
[[nodiscard]] std::unique_ptr<Kernel> make_lanes_unit(const KernelRequest& request, const CpuContext& context,
                                                      LanesOutput output);

// Between the plain layout and n16chw; nothing for other pairs.
[[nodiscard]] std::unique_ptr<Kernel> make_reorder_loops(const TensorDesc& from, Format to, bool gradient,
                                                         const CpuContext& context);

// Gathers the batch's pictures from `source`, normalises them as (u8/255 − mean)/std, each operation rounded
// to f32, and writes the indicator rows of their labels into `targets`, if given (plain).
[[nodiscard]] bool can_load_pictures_into(const TensorDesc& input);
void load_pictures(const CpuContext& context, const PictureSource& source, const PictureBatch& batch,
                   const Tensor& input, const Tensor* targets);

}  // namespace descent
