// Between pictures in their own order and sixteen of them side by side.
#pragma once

#include <cstdint>

namespace descent {

// `from`: sixteen pictures of `elements` numbers, one after the other. `to`: element by element, sixteen
// pictures each; 64-byte aligned.
void pictures_to_lanes(const float* from, float* to, std::int64_t elements);
// The other way: `from` is 64-byte aligned.
void lanes_to_pictures(const float* from, float* to, std::int64_t elements);

}  // namespace descent
