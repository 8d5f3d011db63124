// Descent's own kernel or the library's: the faster one, where kernels may be timed, else by rule.
#pragma once

#include "cuda/libraries.h"
#include "plan/kernel.h"

#include <functional>
#include <memory>

namespace descent {

struct KernelMakers {
  std::function<std::unique_ptr<Kernel>()> own;
  std::function<std::unique_ptr<Kernel>()> library{};  // empty, or gives null: it has none
  bool prefers_library = false;                        // the rule
};

// Timed are whole units, forward and backward, each by itself: what neighbours will spare each other is not
// seen.
[[nodiscard]] std::unique_ptr<Kernel> choose_kernel(const KernelChoices& choices, const KernelRequest& request,
                                                    const KernelMakers& makers);

}  // namespace descent
