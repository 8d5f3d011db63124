// Products of matrices with rows of few numbers, as the convolution's loops need them.
#pragma once

#include <cstdint>

namespace descent {

inline constexpr std::int64_t tile_width = 16;  // numbers; matrices' rows are padded to multiples of it

// c[r, p] = Σ_k a[r, k] · b[k, p] for `rows` rows and `width` columns, a multiple of tile_width. Rows of a lie
// `depth` apart, those of b and c `stride`.
void multiply(const float* a, std::int64_t rows, std::int64_t depth, const float* b, float* c,
              std::int64_t stride, std::int64_t width);

// c[r, k] += Σ_p a[r, p] · b[k, p]: rows of a and b lie `stride` apart, those of c `depth`.
void multiply_transposed(const float* a, std::int64_t rows, const float* b, std::int64_t depth, float* c,
                         std::int64_t stride, std::int64_t width);

}  // namespace descent
