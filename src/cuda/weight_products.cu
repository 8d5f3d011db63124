// In the place of the kernel: suits nothing.
#include "cuda/weight_products.h"

namespace descent {

bool WeightProducts::suits(const Gather& /*forward*/) {
  return false;
}

WeightProducts::WeightProducts(const Gather& /*forward*/) {}

std::size_t WeightProducts::partial_bytes() const {
  return 0;
}

void WeightProducts::run(const CudaContext& /*context*/, const Bf16* /*x*/, const Bf16* /*dz*/,
                         float* /*partial*/, float* /*dw*/) const {}

}  // namespace descent
