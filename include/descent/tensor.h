// Shapes and descriptions of tensors. Nothing here owns memory or knows a device.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace descent {

// Element type. Every tensor description carries one.
enum class DType : std::uint8_t { f64, f32, bf16, f16, i64, i32, u8 };

[[nodiscard]] std::size_t size_of(DType type) noexcept;    // bytes an element
[[nodiscard]] std::string_view name(DType type) noexcept;  // "f32"

// Up to four dimensions, outermost first: N×C×H×W, N×C, or without the batch: C×H×W, C.
class Shape {
 public:
  static constexpr std::size_t max_rank = 4;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dimensions);
  explicit Shape(std::span<const std::int64_t> dimensions);

  [[nodiscard]] std::size_t rank() const noexcept { return rank_; }
  [[nodiscard]] std::int64_t operator[](std::size_t axis) const noexcept { return dimensions_[axis]; }
  [[nodiscard]] std::int64_t elements() const noexcept;  // product of the dimensions; 1 at rank 0
  [[nodiscard]] std::span<const std::int64_t> dimensions() const noexcept {
    return {dimensions_.data(), rank_};
  }
  [[nodiscard]] Shape with_batch(std::int64_t batch) const;  // C×H×W → N×C×H×W

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<std::int64_t, max_rank> dimensions_{};  // zero past rank_
  std::size_t rank_ = 0;
};

[[nodiscard]] std::string to_string(const Shape& shape);  // "1024×8×14×14"; "scalar" at rank 0

// Order of a tensor's elements in memory. `plain` is row-major (NCHW); the other values belong to
// the device that chose them and mean nothing to anyone else.
enum class Layout : std::uint8_t { plain = 0 };

// How a device keeps the elements of one value.
struct Format {
  DType type = DType::f32;
  Layout layout = Layout::plain;

  friend bool operator==(const Format&, const Format&) = default;
  // Some order, for sets; written out because clang-tidy 14 takes the zero within a default <=> for a pointer.
  friend bool operator<(const Format& a, const Format& b) {
    return a.type != b.type ? a.type < b.type : a.layout < b.layout;
  }
};

struct TensorDesc {
  DType type = DType::f32;
  Shape shape;
  Layout layout = Layout::plain;

  [[nodiscard]] Format format() const noexcept { return {type, layout}; }
  [[nodiscard]] TensorDesc in(Format format) const noexcept { return {format.type, shape, format.layout}; }

  [[nodiscard]] std::size_t bytes() const noexcept {
    return static_cast<std::size_t>(shape.elements()) * size_of(type);
  }
  friend bool operator==(const TensorDesc&, const TensorDesc&) = default;
};

// A view of device memory; never an owner.
struct Tensor {
  TensorDesc desc;
  void* data = nullptr;
};

}  // namespace descent
