// Which format each unit reads and writes: the cheapest assignment over the whole network, reorders between
// units and what neighbours spare each other counted.
#pragma once

#include "descent/tensor.h"
#include "plan/kernel.h"

#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace descent {

// One way to compute a unit.
struct UnitCandidate {
  std::vector<Format> inputs;
  Format output;
  double seconds = 0;
  std::function<std::unique_ptr<Kernel>()> make{};  // valid as long as the unit's request
  double spares = 0;        // of its seconds, where the sole reader takes over what it can
  bool takes_over = false;  // does so for the writer of its first input, in the same format
};

// Seconds of moving a value (and, when training, its gradient back) from its format to another.
using ReorderCost = std::function<double(const TensorDesc& from, Format to, bool gradient)>;

// The index of the chosen candidate for each unit. Exact along every chain of units (Viterbi), by turns
// over the chains where they meet (residual branches), until nothing improves.
[[nodiscard]] std::vector<std::size_t> choose_formats(std::span<const KernelRequest> requests,
                                                      std::span<const std::vector<UnitCandidate>> candidates,
                                                      const ReorderCost& reorder);

}  // namespace descent
