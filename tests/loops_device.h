// A device made of the CPU's own loops alone: the real one takes many of them only where its library has
// nothing fast. Linear layers, which have no loop, it refuses.
#pragma once

#include "cpu/layouts.h"
#include "descent/device.h"
#include "descent/network.h"

#include <memory>
#include <string>
#include <string_view>

namespace descent::test {

class LoopsDevice final : public Device {
 public:
  // Kernels that know several layouts work in `layout`, wherever it divides their channels.
  explicit LoopsDevice(Layout layout, int threads = 2) : layout_(layout), threads_(threads) {}

  [[nodiscard]] static bool supports(const Network& network);

  [[nodiscard]] std::string_view name() const override { return "loops"; }
  [[nodiscard]] std::string description() const override { return std::string(layout_name(layout_)); }
  [[nodiscard]] DType parameter_type() const override { return DType::f32; }
  [[nodiscard]] Buffer allocate(std::size_t bytes) override;
  void upload(void* to, DType type, std::span<const float> from) override;
  void download(std::span<float> to, const void* from, DType type) override;
  [[nodiscard]] std::unique_ptr<Plan> prepare(const Network& network, const PlanRequest& request,
                                              ParameterStore& store) override;
  void update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) override;
  void wait() override {}
  [[nodiscard]] std::string plan_text() const override { return {}; }

 private:
  Layout layout_;
  int threads_;
};

}  // namespace descent::test
