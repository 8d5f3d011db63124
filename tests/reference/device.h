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
  [[nodiscard]] DType parameter_type() const override { return DType::f64; }

  [[nodiscard]] Buffer allocate(std::size_t bytes) override;
  void upload(void* to, std::span<const float> from) override;
  void download(std::span<float> to, const void* from) override;

  [[nodiscard]] std::unique_ptr<Plan> prepare(const Network& network, const PlanRequest& request,
                                              ParameterStore& store) override;
  void update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) override;
  void wait() override {}
  [[nodiscard]] std::string plan_text() const override { return {}; }

  // What the last download() read, unrounded: finite differences need all its digits.
  [[nodiscard]] const std::vector<double>& last_download() const { return last_download_; }

 private:
  std::vector<double> last_download_;
};

// Elements of a buffer of this device, to read and to perturb.
[[nodiscard]] inline std::span<double> doubles(Buffer& buffer) {
  return {static_cast<double*>(buffer.data()), buffer.bytes() / sizeof(double)};
}

}  // namespace descent::reference
