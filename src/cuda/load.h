// Pictures into the input of a plan.
#pragma once

#include "cuda/state.h"
#include "descent/device.h"

#include <cstdint>
#include <span>

namespace descent {

// Pictures and labels in device memory.
class CudaPictures final : public PlacedPictures {
 public:
  CudaPictures(const CudaContext& context, const PictureSource& source);
  [[nodiscard]] const std::uint8_t* pictures() const { return pictures_.as<std::uint8_t>(); }
  [[nodiscard]] const std::int32_t* labels() const { return labels_.as<std::int32_t>(); }

 private:
  DeviceBytes pictures_;
  DeviceBytes labels_;
};

// Gathers the pictures of `pictures` from `source`, normalises them as (u8/255 − mean)/std, each operation
// rounded to f32, and writes the indicator rows of their labels into `targets`, if given. Input: f32 or bf16,
// nchw or nhwc. Where the source is placed only indices and views travel, else the pictures of the batch, too.
void load_pictures_cuda(CudaState& state, const PictureSource& source, const PictureBatch& pictures,
                        const Tensor& input, const Tensor* targets);

}  // namespace descent
