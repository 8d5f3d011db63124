// Kernels through oneDNN.
#pragma once

#include "cpu/context.h"
#include "cpu/onednn.h"
#include "plan/kernel.h"

#include <memory>

namespace descent {

// Nothing if the library has only reference code for this layout.
[[nodiscard]] std::unique_ptr<Kernel> make_batch_norm(const KernelRequest& request, Layout layout,
                                                      const Onednn& onednn);

[[nodiscard]] std::unique_ptr<Kernel> make_linear(const KernelRequest& request, const Onednn& onednn);

// Between the formats that our own loops know, by those.
[[nodiscard]] std::unique_ptr<Kernel> make_reorder(const TensorDesc& from, Format to, bool gradient,
                                                   const Onednn& onednn, const CpuContext& context);

}  // namespace descent
