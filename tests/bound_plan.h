// A plan with a workspace of its own.
#pragma once

#include "descent/device.h"

#include <memory>

namespace descent::test {

class BoundPlan {
 public:
  BoundPlan(Device& device, const Network& network, const PlanRequest& request, ParameterStore& store)
      : plan_(device.prepare(network, request, store)), workspace_(device.allocate(plan_->workspace_bytes())) {
    plan_->bind(workspace_);
  }

  [[nodiscard]] Plan& operator*() const { return *plan_; }
  [[nodiscard]] Plan* operator->() const { return plan_.get(); }

 private:
  std::unique_ptr<Plan> plan_;
  Buffer workspace_;
};

}  // namespace descent::test
