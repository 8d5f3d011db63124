// A device that is plain to read: double precision, naive loops, one layout, nothing joined. Only tests
// use it, to say what the other devices should compute.
#pragma once

#include "descent/device.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace descent::reference {

class ReferenceDevice final : public Device {
 public:
  [[nodiscard]] std::string_view name() const override { return "reference"; }
  [[nodiscard]] std::string description() const override { return "naive loops in double precision"; }
  [[nodiscard]] std::vector<DeviceFact> facts() const override { return {}; }
  [[nodiscard]] DType parameter_type() const override { return DType::f64; }

  [[nodiscard]] Buffer allocate(std::size_t bytes) override;
  void upload(void* to, DType type, std::span<const float> from) override;
  void download(std::span<float> to, const void* from, DType type) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void summarise(const Values& values, bool histogram, Summary& result) override;

  [[nodiscard]] std::unique_ptr<Plan> prepare(const Network& network, const PlanRequest& request,
                                              ParameterStore& store) override;
  void update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) override;
  void wait() override {}
  [[nodiscard]] Peaks peaks() override { return {}; }
  [[nodiscard]] std::string plan_text() const override { return {}; }
};

// Elements in this device's memory, to read and to perturb: finite differences need all their digits.
[[nodiscard]] inline std::span<double> doubles(Buffer& buffer) {
  return {static_cast<double*>(buffer.data()), buffer.bytes() / sizeof(double)};
}

[[nodiscard]] inline std::span<double> doubles(const Tensor& tensor) {
  return {static_cast<double*>(tensor.data), static_cast<std::size_t>(tensor.desc.shape.elements())};
}

}  // namespace descent::reference
