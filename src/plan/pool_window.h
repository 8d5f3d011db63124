// Which cells a pooling window covers, along one axis: the one arithmetic of all devices. constexpr, so that
// CUDA code can call it too; a device counts in the integers that suit it.
#pragma once

#include <algorithm>

namespace descent {

template <class Int>
struct PoolSpan {
  Int begin, end;
};

// One axis of a window: `in` cells of input, `out` of output.
template <class Int>
struct PoolWindow {
  Int kernel, stride, padding, in, out;

  // Input cells under output cell o.
  [[nodiscard]] constexpr PoolSpan<Int> under(Int o) const {
    const Int begin = o * stride - padding;
    return {std::max<Int>(begin, 0), std::min<Int>(begin + kernel, in)};
  }
  // Output cells whose windows hold input cell i.
  [[nodiscard]] constexpr PoolSpan<Int> over(Int i) const {
    const Int reach = i + padding;
    const Int begin = reach < kernel ? 0 : (reach - kernel) / stride + 1;
    return {begin, std::min<Int>(reach / stride + 1, out)};
  }
  [[nodiscard]] constexpr Int cells(Int o) const {
    const PoolSpan<Int> span = under(o);
    return std::max<Int>(span.end - span.begin, 0);
  }
};

}  // namespace descent
