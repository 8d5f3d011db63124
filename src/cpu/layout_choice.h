// Which layout each unit reads and writes: the cheapest assignment over the whole network, reorders between
// units counted.
#pragma once

#include "descent/tensor.h"
#include "plan/kernel.h"

#include <functional>
#include <span>
#include <vector>

namespace descent {

// One way to compute a unit.
struct UnitCandidate {
  std::vector<Layout> inputs;
  Layout output = Layout::plain;
  double seconds = 0;
  bool loops = false;  // our own code instead of the library's
};

// Seconds of moving the value `desc` (and, when training, its gradient back) between layouts.
using ReorderCost = std::function<double(const TensorDesc& desc, Layout from, Layout to, bool gradient)>;

// The index of the chosen candidate for each unit. Exact along every chain of units (Viterbi), by turns
// over the chains where they meet (residual branches), until nothing improves.
[[nodiscard]] std::vector<std::size_t> choose_layouts(std::span<const KernelRequest> requests,
                                                      std::span<const std::vector<UnitCandidate>> candidates,
                                                      const ReorderCost& reorder);

}  // namespace descent
