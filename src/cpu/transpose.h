// Between pictures in their own order and those of a vector side by side: sixteen, in bf16 thirty-two.
#pragma once

#include "plan/element.h"

#include <cstdint>

namespace descent {

// `from`: sixteen pictures of `elements` numbers, one after the other. `to`: element by element, sixteen
// pictures each; 64-byte aligned.
void pictures_to_lanes(const float* from, float* to, std::int64_t elements);
// The same of thirty-two pictures, rounded to bf16.
void pictures_to_lanes(const float* from, Bf16* to, std::int64_t elements);
// Sixteen, the other way: `from` is 64-byte aligned.
void lanes_to_pictures(const float* from, float* to, std::int64_t elements);

}  // namespace descent
