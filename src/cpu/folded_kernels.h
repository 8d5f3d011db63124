// Units of a product and what follows it (plan/folded.h), for inference. Each takes the unit's request; weights
// are folded when the parameters have changed.
#pragma once

#include "cpu/context.h"
#include "cpu/conv_part.h"
#include "cpu/onednn.h"
#include "plan/kernel.h"

#include <functional>
#include <memory>

namespace descent {

// The convolution as a part (cpu/conv_part.h), with what is left of the run in its epilogue.
[[nodiscard]] ConvProblem folded_problem(const KernelRequest& request);
[[nodiscard]] std::unique_ptr<Kernel> make_folded_conv(const KernelRequest& request, const ConvChoice& choice,
                                                       const ConvTools& tools);

// A convolution without groups for small work; source nchw, nhwc or nchw16c, destination nhwc or nchw16c.
[[nodiscard]] std::unique_ptr<Kernel> make_folded_pixels(const KernelRequest& request, Layout source,
                                                         Layout destination, const CpuContext& context);

// A convolution without groups to n16chw, in bf16 without a residual sum to n32chw; from the same, or from f32
// in nchw.
[[nodiscard]] std::unique_ptr<Kernel> make_folded_lanes(const KernelRequest& request, Format source,
                                                        const CpuContext& context);

// Any kernel of the product alone, then a pass over its output. `make_product` gets a request for the product
// with a bias, and makes its kernel in `layout`.
using MakeProduct = std::function<std::unique_ptr<Kernel>(const KernelRequest&)>;
[[nodiscard]] std::unique_ptr<Kernel> make_folded_parts(const KernelRequest& request, Layout layout,
                                                        const MakeProduct& make_product,
                                                        const CpuContext& context);

}  // namespace descent
