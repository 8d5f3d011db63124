// What measured times are filed under, on any device: two pieces of work with the same name take the same time.
#pragma once

#include "descent/ops.h"
#include "descent/tensor.h"
#include "plan/kernel.h"
#include "plan/measurements.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace descent {

// The three products of a convolution.
enum class Direction : std::uint8_t { forward, backward_data, backward_weights };
[[nodiscard]] std::string_view direction_name(Direction direction);  // "backward data"

// "128x64x56x56"
[[nodiscard]] std::string shape_name(const Shape& shape);
// "128x64x56x56 to 128x64x56x56 kernel 3x3 stride 1x1 padding 1x1 dilation 1x1 groups 1", " bias" behind it.
[[nodiscard]] std::string conv_name(const Conv& op, const Shape& source, const Shape& destination);

// A unit, whoever computes it: "conv kernel 3x3 stride 2x2 … + batch_norm training alone, f32 128x64x56x56 to
// 128x64x56x56".
[[nodiscard]] std::string unit_name(const KernelRequest& request);

// Shapes as they are in the plan whose times another one goes by (PlanRequest::timed_batch).
class TimedBatch {
 public:
  explicit TimedBatch(const PlanRequest& plan) : batch_(plan.batch), timed_(plan.timed_batch) {}

  // What that plan's times say of this one's; name(batch) names them with the shapes that `batch` gives.
  template <class Name>
  [[nodiscard]] std::optional<Measurements::Likeness> like(Name&& name) const {
    if (timed_ == 0 || timed_ == batch_) return std::nullopt;
    return Measurements::Likeness{name(*this), static_cast<double>(batch_) / static_cast<double>(timed_)};
  }

  // All of them begin with the batch.
  [[nodiscard]] Shape of(const Shape& shape) const;
  [[nodiscard]] TensorDesc of(const TensorDesc& desc) const;
  [[nodiscard]] KernelRequest of(const KernelRequest& request) const;

 private:
  std::int64_t batch_;
  std::int64_t timed_;
};

// Raised when a kernel of our own, or the way of timing, has become another: numbers from before count as those
// of another machine.
inline constexpr int kernels_revision = 11;
// The plan cache's key on a machine of that description.
[[nodiscard]] std::string timed_machine(const std::string& description);

}  // namespace descent
