// Elements of files as f32.
#pragma once

#include "descent/tensor.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace descent {

[[nodiscard]] float from_half(std::uint16_t bits);      // IEEE 754 binary16
[[nodiscard]] float from_bfloat16(std::uint16_t bits);  // the upper half of an f32

// True for f64, f32, f16 and bf16.
[[nodiscard]] bool converts_to_f32(DType type);

// bytes.size() is values.size() elements of `type`, at any alignment.
void convert_to_f32(std::span<const std::byte> bytes, DType type, std::span<float> values);

}  // namespace descent
