#include "descent/tensor.h"

#include "descent/error.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace descent {

std::size_t size_of(DType type) noexcept {
  switch (type) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

std::string_view name(DType type) noexcept {
  switch (type) {
    case DType::f64:
      return "f64";
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    case DType::i64:
      return "i64";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
  }
  return "?";
}

Shape::Shape(std::initializer_list<std::int64_t> dimensions)
    : Shape(std::span<const std::int64_t>(dimensions.begin(), dimensions.size())) {}

Shape::Shape(std::span<const std::int64_t> dimensions) : rank_(dimensions.size()) {
  if (rank_ > max_rank) throw Error("a shape has at most four dimensions");
  std::copy(dimensions.begin(), dimensions.end(), dimensions_.begin());
}

std::int64_t Shape::elements() const noexcept {
  return std::accumulate(dimensions_.begin(), dimensions_.begin() + static_cast<std::ptrdiff_t>(rank_),
                         std::int64_t{1}, std::multiplies<>());
}

Shape Shape::with_batch(std::int64_t batch) const {
  if (rank_ == max_rank) throw Error("the shape " + to_string(*this) + " has no room for a batch");
  Shape batched;
  batched.rank_ = rank_ + 1;
  batched.dimensions_[0] = batch;
  std::copy_n(dimensions_.begin(), rank_, batched.dimensions_.begin() + 1);
  return batched;
}

std::string to_string(const Shape& shape) {
  if (shape.rank() == 0) return "scalar";
  std::string text;
  for (const std::int64_t dimension : shape.dimensions()) {
    if (!text.empty()) text += "×";
    text += std::to_string(dimension);
  }
  return text;
}

}  // namespace descent
