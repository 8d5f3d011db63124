// The CPU's side of assemble(): which kernel computes which unit, in which layout.
#pragma once

#include "cpu/choices.h"
#include "cpu/context.h"
#include "cpu/onednn.h"
#include "cpu/tuner.h"
#include "plan/introductions.h"
#include "plan/kernel.h"

#include <functional>
#include <map>
#include <memory>
#include <set>

namespace descent {

class CpuFactory final : public KernelFactory {
 public:
  // For one plan. `timing` may be null: choose by rule.
  CpuFactory(const CpuContext& context, const dnnl::engine& engine, Timing* timing, const CpuChoices& choices,
             const PlanRequest& plan);

  // Whether any of the units prepared last writes numbers of this type; those that do not compute aside.
  [[nodiscard]] bool computes_in(DType type) const { return types_.contains(type); }

  void enter() override;
  [[nodiscard]] std::size_t claim(std::span<const Layer* const> run, const PlanRequest& request) const override;
  void consider(std::span<const KernelRequest> requests) override;
  [[nodiscard]] std::unique_ptr<Kernel> prepare(const KernelRequest& request) override;
  [[nodiscard]] DType port_type() const override { return DType::f32; }
  [[nodiscard]] bool same_bytes(const TensorDesc& desc, Format other) const override;
  [[nodiscard]] std::unique_ptr<Kernel> prepare_reorder(const TensorDesc& from, Format to,
                                                        bool gradient) override;
  [[nodiscard]] std::unique_ptr<Kernel> prepare_gradient_sum(const TensorDesc& desc, std::size_t branches,
                                                             Kernel* writer) override;
  [[nodiscard]] bool loads_into(const TensorDesc& input) const override;
  void load(const PictureSource& source, const PictureBatch& batch, const Tensor& input,
            const Tensor* targets) override;

 private:
  CpuContext context_;
  Onednn onednn_;
  Tuner tuner_;
  CpuChoices choices_;
  std::map<ValueId, std::function<std::unique_ptr<Kernel>()>> chosen_;  // by the unit's output
  std::set<DType> types_;                                               // of the units' outputs
  Introductions introductions_;
};

}  // namespace descent
