// The weight gradient of a convolution on tensor cores.
#pragma once

#include "cuda/context.h"
#include "cuda/gather.h"
#include "plan/element.h"

#include <cstddef>

namespace descent {

// dw[o, i, tap] = Σ over cells dz[cell, o] · x[cell under tap, i] on tensor cores: bf16 in, f32 sums and result
// (O×I×H×W, plain).
class WeightProducts {
 public:
  [[nodiscard]] static bool suits(const Gather& forward);  // one group, channels in multiples of 8
  explicit WeightProducts(const Gather& forward);
  [[nodiscard]] std::size_t partial_bytes() const;  // scratch
  void run(const CudaContext& context, const Bf16* x, const Bf16* dz, float* partial, float* dw) const;
};

}  // namespace descent
