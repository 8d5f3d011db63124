// Times kernels on the GPU, through the plan cache.
#pragma once

#include "cuda/context.h"
#include "cuda/memory.h"
#include "plan/kernel.h"
#include "plan/measurements.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace descent {

// Memory for what is timed. It is filled with small numbers of both signs, which are numbers as f32 and as
// bf16: a multiplier's power, and with it the clock, depends on what it multiplies, and sums of zeros would
// flatter it.
class TrialMemory {
 public:
  explicit TrialMemory(const CudaContext& context) : context_(context) {}
  [[nodiscard]] void* take(std::size_t bytes);  // null: nothing asked for

 private:
  CudaContext context_;
  std::vector<DeviceBytes> taken_;
};

class CudaTuner {
 public:
  // Without measurements nothing is timed: choices follow rules.
  CudaTuner(const CudaContext& context, std::unique_ptr<Measurements> measurements)
      : context_(context), measurements_(std::move(measurements)) {}

  using Likeness = std::optional<Measurements::Likeness>;

  // In place of the seconds of what cannot run here.
  static constexpr double never = 1e9;

  [[nodiscard]] bool measures() const { return measurements_ != nullptr; }

  // Seconds of `key`: as recorded, or of the work that `prepare` gives (empty: there is none, never). Work that
  // fails, be it for want of memory, counts as never too, but is not recorded.
  double seconds(const std::string& key, const std::function<std::function<void()>()>& prepare,
                 const Likeness& like);
  // Of one forward and, in training, one backward of a kernel of the unit, on memory of its own. Null: there is
  // none. `whose` tells two kernels apart.
  double kernel_seconds(const KernelRequest& request, const std::string& whose,
                        const std::function<Kernel*()>& make);
  // What a library offers under `key`, listed once a machine.
  const std::vector<std::string>& names(const std::string& key,
                                        const std::function<std::vector<std::string>()>& list,
                                        const Likeness& like) {
    return measurements_->names(key, list, like);
  }

  // Writes what was measured to the cache, and lets other processes measure.
  void finish() {
    if (measures()) measurements_->save();
  }
  // As a plan file; empty if nothing is ever timed.
  [[nodiscard]] std::string text() const { return measures() ? measurements_->text() : std::string(); }

 private:
  [[nodiscard]] double time_runs(const std::function<void()>& run) const;

  CudaContext context_;
  std::unique_ptr<Measurements> measurements_;
};

}  // namespace descent
