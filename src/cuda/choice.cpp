#include "cuda/choice.h"

#include "cuda/tuner.h"

#include <string>
#include <utility>

namespace descent {

namespace {

struct TimedKernel {
  std::unique_ptr<Kernel> kernel;  // null: none, or its time was known
  double seconds = CudaTuner::never;
};

TimedKernel time_kernel(CudaTuner& tuner, const KernelRequest& request, const std::string& whose,
                        const std::function<std::unique_ptr<Kernel>()>& make) {
  TimedKernel timed;
  timed.seconds = tuner.kernel_seconds(request, whose, [&] {
    timed.kernel = make();
    return timed.kernel.get();
  });
  return timed;
}

}  // namespace

std::unique_ptr<Kernel> choose_kernel(const KernelChoices& choices, const KernelRequest& request,
                                      const KernelMakers& makers) {
  if (!makers.library) return makers.own();
  bool library = makers.prefers_library || !choices.own_kernels;
  TimedKernel of_library;
  TimedKernel of_own;
  if (choices.own_kernels && choices.tuner.measures()) {
    of_library = time_kernel(choices.tuner, request, "library", makers.library);
    const bool has_none = of_library.kernel == nullptr && of_library.seconds == CudaTuner::never;
    if (has_none) return makers.own();
    of_own = time_kernel(choices.tuner, request, "own", makers.own);
    // Neither could be timed: the rule stays.
    if (of_library.seconds != of_own.seconds) library = of_library.seconds < of_own.seconds;
  }
  if (library) {
    if (!of_library.kernel) of_library.kernel = makers.library();
    if (of_library.kernel) return std::move(of_library.kernel);
  }
  return of_own.kernel ? std::move(of_own.kernel) : makers.own();
}

}  // namespace descent
