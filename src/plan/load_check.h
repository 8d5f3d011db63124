// What every device sees to before it loads pictures.
#pragma once

#include "descent/device.h"
#include "descent/tensor.h"

#include <cstdint>
#include <span>

namespace descent {

// Throws Error unless pictures `indices` of `source` fill the input, and all are there, with labels that the
// targets (null: none) have a column for.
void check_batch(const PictureSource& source, std::span<const std::uint32_t> indices, const Tensor& input,
                 const Tensor* targets);

}  // namespace descent
