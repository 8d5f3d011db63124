// The frame around the optimizers' rules, as include/descent/optimizer.h states it, in double.
#include "reference/device.h"

#include <array>
#include <cmath>

namespace descent::reference {

namespace {

// torch.nn.utils.clip_grad_norm_'s idea: one factor for all gradients, at most 1.
double clip_factor(std::span<const double> gradients, double limit) {
  if (limit <= 0) return 1;
  double squares = 0;
  for (const double g : gradients) squares += g * g;
  const double norm = std::sqrt(squares);
  return norm > limit ? limit / norm : 1;
}

template <class Rule>
void update_range(const Rule& rule, const UpdateRange& range, const UpdateRequest& request, std::int64_t step,
                  double scale, std::span<double> values, std::span<const double> gradients,
                  std::span<double> state) {
  const double rate = request.learning_rate * range.rate_factor;
  const double decay = request.weight_decay * range.weight_decay_factor;
  const typename Rule::template Step<double> rule_step(rule, UpdateMoment{rate, step});
  for (std::size_t i = range.begin; i < range.end; ++i) {
    double gradient = gradients[i] * scale;
    if (request.decay == Decay::l2) gradient += decay * values[i];
    if (request.decay == Decay::decoupled) values[i] *= 1 - rate * decay;
    std::array<double, Rule::slots> slots{};
    for (std::size_t s = 0; s < Rule::slots; ++s) slots[s] = state[s * values.size() + i];
    values[i] -= rule_step(gradient, slots);
    for (std::size_t s = 0; s < Rule::slots; ++s) state[s * values.size() + i] = slots[s];
  }
}

}  // namespace

void ReferenceDevice::update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) {
  ++state.step;
  const std::size_t count = store.layout().trained_elements;
  const std::span<double> values = doubles(store.values()).first(count);
  const std::span<const double> gradients = doubles(store.gradients()).first(count);
  const double scale = clip_factor(gradients, request.clip_norm);
  std::visit(
      [&](const auto& rule) {
        for (const UpdateRange& range : request.ranges)
          update_range(rule, range, request, state.step, scale, values, gradients, doubles(state.values()));
      },
      request.optimizer);
  store.mark_changed();
}

}  // namespace descent::reference
