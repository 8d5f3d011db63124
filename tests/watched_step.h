// Steps that are watched, to be compared with steps that are not.
#pragma once

#include "bound_plan.h"
#include "case_run.h"

#include <utility>
#include <vector>

namespace descent::test {

// A plan that trains, with some layers watched: each ends its kernel.
struct WatchedPlan {
  CaseRun values;
  ParameterStore store;
  BoundPlan plan;

  WatchedPlan(Device& device, const OpCase& row, const std::vector<std::size_t>& layers, bool input_gradient,
              DType precision = DType::f32)
      : values(device, row, true, precision),
        store(device, parameter_layout(row.network), true),
        plan(device, row.network, request(row, layers, input_gradient, precision), filled(store, values)) {}

  void forward() const {
    plan->write(Plan::Port::input, values.values().input);
    plan->forward({});
  }

 private:
  static PlanRequest request(const OpCase& row, const std::vector<std::size_t>& layers, bool input_gradient,
                             DType precision) {
    PlanRequest request;
    request.precision = precision;
    request.mode = Mode::train;
    request.batch = row.batch;
    request.input_gradient = input_gradient;
    for (const std::size_t layer : layers) request.watch.push_back({layer, true, true});
    return request;
  }
  static ParameterStore& filled(ParameterStore& store, const CaseRun& values) {
    store.upload(values.values().parameters);
    return store;
  }
};

// Gradients and statistics of one step.
inline std::pair<std::vector<float>, std::vector<float>> step_watching(Device& device, const OpCase& row,
                                                                       const std::vector<std::size_t>& layers,
                                                                       bool input_gradient = true,
                                                                       DType precision = DType::f32) {
  const WatchedPlan watched(device, row, layers, input_gradient, precision);
  watched.forward();
  watched.plan->write(Plan::Port::output_gradient, watched.values.values().output_gradient);
  watched.plan->backward({});
  return {watched.store.download_gradients(), watched.store.download().statistics};
}

}  // namespace descent::test
