// A fit that was left between two batches, so that another process can take it up.
#pragma once

#include "descent/parameters.h"
#include "descent/train.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace descent {

// All that a fit needs, beside its settings and data, to go on as if it had never been left: the same bits
// follow.
struct FitCheckpoint {
  FitPosition position;
  std::int64_t steps_per_epoch = 0;
  HostParameters parameters;
  std::string optimizer;     // its name
  std::int64_t updates = 0;  // OptimizerState::step
  std::vector<float> slots;  // slot s begins at s·ParameterLayout::trained_elements
};

// Of a fit between two batches, as observers see it in after_both_phases and cleanup_fit.
[[nodiscard]] FitCheckpoint checkpoint_of(const FitState& state);

// A safetensors file: the network's tensors, "optimizer.S.NAME" for those of slot S, the rest as metadata.
void save_checkpoint(const std::filesystem::path& file, const FitCheckpoint& checkpoint,
                     const ParameterLayout& layout);
// Throws Error naming the file and what does not fit the layout.
[[nodiscard]] FitCheckpoint load_checkpoint(const std::filesystem::path& file, const ParameterLayout& layout);

}  // namespace descent
