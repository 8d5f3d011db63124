// What the matrix unit of some processors (AMX) gives at most in bf16.
#pragma once

#include <cstdint>

namespace descent {

// Whether the processor has it and the system lets this process use it; asks for that on the first call.
[[nodiscard]] bool may_use_bf16_tiles();

// Operations of one round of multiply_bf16_tiles().
inline constexpr double bf16_tile_round = 4 * 2.0 * 16 * 16 * 32;

// `rounds` times four products of 16×32 by 32×16 numbers, on zeros, that never leave the tiles' registers. Only
// where may_use_bf16_tiles() says so.
void multiply_bf16_tiles(std::int64_t rounds);

}  // namespace descent
