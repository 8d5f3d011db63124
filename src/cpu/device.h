// The CPU behind the device interface: oneDNN and kernels of our own, whichever is faster.
#pragma once

#include "cpu/factory.h"
#include "descent/device.h"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace descent {

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(const DeviceOptions& options, const CpuChoices& choices = {});

  [[nodiscard]] std::string_view name() const override { return "cpu"; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::vector<DeviceFact> facts() const override;
  [[nodiscard]] DType parameter_type() const override { return DType::f32; }
  [[nodiscard]] Peaks peaks() override;

  [[nodiscard]] Buffer allocate(std::size_t bytes) override;
  void upload(void* to, DType type, std::span<const float> from) override;
  void download(std::span<float> to, const void* from, DType type) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void summarise(const Values& values, bool histogram, Summary& result) override;

  [[nodiscard]] std::unique_ptr<Plan> prepare(const Network& network, const PlanRequest& request,
                                              ParameterStore& store) override;
  void update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) override;
  void wait() override {}  // every call returns when its work is done
  [[nodiscard]] std::string plan_text() const override;
  [[nodiscard]] const CpuChoices& choices() const { return choices_; }

 private:
  // Of what a plan in bf16 does not keep of the promise; at most once.
  void warn_of_bf16(const CpuFactory& factory);

  CpuContext context_;
  dnnl::engine engine_;
  CpuChoices choices_;
  // Threads that share the device prepare one after the other: they would disturb each other's times.
  mutable std::mutex preparing_;
  std::function<void(const std::string&)> warn_;  // empty once it was called
  std::unique_ptr<Timing> timing_;                // null: choose by rule
};

}  // namespace descent
