// What every device sees to before it loads pictures.
#pragma once

#include "descent/device.h"
#include "descent/tensor.h"

namespace descent {

// Throws Error unless the batch's pictures fill the input, and all are there in `source`, with labels that the
// targets (null: none) have a column for, and with a view each if there are any.
void check_batch(const PictureSource& source, const PictureBatch& batch, const Tensor& input,
                 const Tensor* targets);

}  // namespace descent
