#include "cuda/choice.h"

#include "cuda/tuner.h"
#include "plan/measured_names.h"

#include <fmt/format.h>

#include <optional>

namespace descent {

namespace {

struct TimedKernel {
  std::unique_ptr<Kernel> kernel;  // null: none, or its time was known
  double seconds = CudaTuner::never;
};

TimedKernel time_kernel(CudaTuner& tuner, const std::string& key, const KernelRequest& request,
                        const std::function<std::unique_ptr<Kernel>()>& make) {
  TimedKernel timed;
  timed.seconds = tuner.kernel_seconds(key, request, [&] {
    timed.kernel = make();
    return timed.kernel.get();
  });
  return timed;
}

}  // namespace

std::string unit_name(const KernelRequest& request) {
  const Layer& first = request.unit.first();
  const Shape& source = request.inputs.front().shape;
  const Shape& destination = request.output.shape;
  const bool trains = request.plan.mode == Mode::train;
  const auto* const conv = std::get_if<Conv>(&first.op);
  std::string text = fmt::format("{} {} {} {} {}", name(first.op), name(request.output.type),
                                 trains ? "training" : "inference",
                                 trains && request.input_gradients.front() ? "with input gradient" : "alone",
                                 conv != nullptr ? conv_name(*conv, source, destination)
                                                 : shape_name(source) + " to " + shape_name(destination));
  for (std::size_t i = 1; i < request.unit.layers.size(); ++i)
    text.append(" + ").append(name(request.unit.layers[i]->op));
  return text;
}

std::unique_ptr<Kernel> choose_kernel(const KernelChoices& choices, const KernelRequest& request,
                                      const KernelMakers& makers) {
  if (!makers.library) return makers.own();
  bool library = makers.prefers_library || !choices.own_kernels;
  TimedKernel of_library;
  TimedKernel of_own;
  if (choices.own_kernels && choices.tuner.measures()) {
    const std::string unit = unit_name(request);
    of_library = time_kernel(choices.tuner, unit + ", library", request, makers.library);
    const bool has_none = of_library.kernel == nullptr && of_library.seconds == CudaTuner::never;
    if (has_none) return makers.own();
    of_own = time_kernel(choices.tuner, unit + ", own", request, makers.own);
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
