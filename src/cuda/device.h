// An NVIDIA GPU behind the device interface.
#pragma once

#include "cuda/state.h"
#include "cuda/summarise.h"
#include "descent/device.h"

#include <memory>
#include <string>
#include <vector>

namespace descent {

class CudaDevice final : public Device {
 public:
  CudaDevice(int ordinal, const DeviceOptions& options);
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  ~CudaDevice() override;

  [[nodiscard]] std::string_view name() const override { return "cuda"; }
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
  [[nodiscard]] std::unique_ptr<PlacedPictures> place(const PictureSource& source) override;
  void update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) override;
  void wait() override;
  [[nodiscard]] std::string plan_text() const override;

 private:
  [[nodiscard]] std::string machine_text() const;

  std::shared_ptr<CudaState> state_;
  cudaDeviceProp properties_{};
  std::unique_ptr<CudaSummaries> summaries_;
};

}  // namespace descent
