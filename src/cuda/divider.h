// Division by a number that is known beforehand: a multiplication and a shift, where a GPU's division is twenty
// instructions (Granlund & Montgomery, "Division by invariant integers using multiplication", 1994,
// figure 4.1).
#pragma once

#include <cstdint>

namespace descent {

class Divider {
 public:
  constexpr Divider() = default;  // by 1
  constexpr explicit Divider(int by) {
    const auto divisor = static_cast<std::uint64_t>(by);
    while (std::uint64_t{1} << shift_ < divisor) ++shift_;
    multiplier_ = static_cast<std::uint32_t>((((std::uint64_t{1} << shift_) - divisor) << 32U) / divisor + 1);
  }
  // ⌊number / by⌋ of a number that is not negative.
  [[nodiscard]] constexpr int quotient(int number) const {
    const auto dividend = static_cast<std::uint32_t>(number);
    const auto high = static_cast<std::uint32_t>(std::uint64_t{multiplier_} * dividend >> 32U);
    return static_cast<int>((high + dividend) >> shift_);
  }

 private:
  std::uint32_t multiplier_ = 1;
  unsigned shift_ = 0;
};

}  // namespace descent
