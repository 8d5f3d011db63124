// Gradient of a convolution's weights on tensor cores: dw[o, i, tap] = Σ over cells dz[cell, o] · x[cell under
// tap, i]; bf16 in, f32 sums and result. Kernels: weight_products.cu.
#pragma once

#include "cuda/context.h"
#include "cuda/gather.h"
#include "plan/element.h"

#include <cstddef>

namespace descent {

// Whether the device at hand runs code for tensor cores: what was compiled for older ones, and is brought to
// the device by its driver, has none.
[[nodiscard]] bool has_tensor_cores();

class WeightProducts {
 public:
  // One group, and channels in packs of 16 bytes.
  [[nodiscard]] static bool suits(const CudaContext& context, const Gather& forward);

  // Of the input channels the first `kept` have weights, if they are not all.
  explicit WeightProducts(const Gather& forward, int kept = 0);

  [[nodiscard]] std::size_t partial_bytes() const;

  // x: N×H×W×I, dz: N×H×W×O, both channels-last and at addresses that 16 divides; dw: O×kept×Kh×Kw.
  void run(const CudaContext& context, const Bf16* x, const Bf16* dz, float* partial, float* dw) const;

  // How the product is cut: a block takes one tile of one part.
  struct Tiles {
    int outputs = 64;  // of a tile
    int output_tiles = 1;
    int packs = 16;  // of a tile at most: eight input channels of a tap each
    int pack_tiles = 1;
    int parts = 1;  // of the sum over cells
    int part_cells = 0;
    // From one cell to the one `slice` cells further, as whole pictures, rows and columns.
    int pictures_on = 0;
    int rows_on = 0;
    int columns_on = 0;
  };

 private:
  Gather forward_;
  int kept_;
  Tiles tiles_;
};

}  // namespace descent
