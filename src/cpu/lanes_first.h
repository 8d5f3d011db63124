// A network's first convolution in training, where batch normalisation follows it, in the layout n16chw: as
// other units (lanes_unit.cpp), or in a way of its own where its one reader computes its output again.
#pragma once

#include "cpu/context.h"
#include "plan/kernel.h"

#include <memory>

namespace descent {

// Whether that way can be gone, and pays, should the reader be willing.
[[nodiscard]] bool can_be_made_again(const KernelRequest& request);
// `unit`: the kernel for readers that are not; a LanesNormWriter<float>.
[[nodiscard]] std::unique_ptr<Kernel> make_lanes_first(const KernelRequest& request, const CpuContext& context,
                                                       std::unique_ptr<Kernel> unit);

}  // namespace descent
