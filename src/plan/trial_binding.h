// What a kernel is bound to while it is only timed, on any device.
#pragma once

#include "descent/network.h"
#include "plan/kernel.h"

#include <cstddef>

namespace descent {

// As a plan will bind it, but with memory that nobody shares: take(bytes) gives the address of some.
template <class Take>
[[nodiscard]] Binding trial_binding(const KernelRequest& request, const KernelNeeds& needs, Take&& take) {
  const bool trains = request.plan.mode == Mode::train;
  Binding binding;
  for (const TensorDesc& input : request.inputs) binding.inputs.push_back(take(input.bytes()));
  binding.output = take(request.output.bytes());
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const bool wanted = trains && request.input_gradients[i];
    binding.input_gradients.push_back(wanted ? take(request.inputs[i].bytes()) : nullptr);
  }
  if (trains) binding.output_gradient = take(request.output.bytes());
  binding.saved = take(needs.saved_bytes);
  binding.scratch = take(needs.scratch_bytes);
  binding.trailing = take(needs.trailing_bytes);
  for (const Layer* layer : request.unit.layers) {
    for (const ParameterSpec& spec : parameters_of(layer->op, layer->input)) {
      const std::size_t bytes = static_cast<std::size_t>(spec.shape.elements()) * sizeof(float);
      if (spec.kind == ParameterSpec::Kind::statistic) binding.statistics.push_back(take(bytes));
      if (spec.kind != ParameterSpec::Kind::trained) continue;
      binding.parameters.push_back(take(bytes));
      if (trains) binding.parameter_gradients.push_back(take(bytes));
    }
  }
  return binding;
}

}  // namespace descent
