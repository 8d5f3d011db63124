// The CPU's side of assemble(): which kernel computes which unit, in which layout.
#pragma once

#include "cpu/context.h"
#include "cpu/layout_choice.h"
#include "cpu/library_kernels.h"
#include "cpu/onednn.h"
#include "cpu/tuner.h"
#include "plan/kernel.h"

#include <map>
#include <optional>

namespace descent {

// What the tests and `--kernels` steer; by default everything is allowed and measured.
struct CpuChoices {
  std::optional<Layout> layout;  // use it wherever it fits
  bool library = true;           // false: our own loops wherever there are some
};

class CpuFactory final : public KernelFactory {
 public:
  // `measurements` may be null: choose by rule.
  CpuFactory(const CpuContext& context, const dnnl::engine& engine, Measurements* measurements,
             const CpuChoices& choices);

  void enter() override;
  [[nodiscard]] std::size_t claim(std::span<const Layer* const> run, const PlanRequest& request) const override;
  void consider(std::span<const KernelRequest> requests) override;
  [[nodiscard]] std::unique_ptr<Kernel> prepare(const KernelRequest& request) override;
  [[nodiscard]] DType activation_type(const PlanRequest& request) const override;
  [[nodiscard]] bool same_order(const TensorDesc& desc, Layout a, Layout b) const override;
  [[nodiscard]] std::unique_ptr<Kernel> prepare_reorder(const TensorDesc& desc, Layout from, Layout to,
                                                        bool gradient) override;
  [[nodiscard]] std::unique_ptr<Kernel> prepare_gradient_sum(const TensorDesc& desc,
                                                             std::size_t branches) override;
  void load(const PictureSource& source, std::span<const std::uint32_t> indices, const Tensor& input,
            const Tensor* targets) override;

 private:
  [[nodiscard]] std::vector<UnitCandidate> candidates(const KernelRequest& request);
  [[nodiscard]] std::vector<UnitCandidate> conv_candidates(const KernelRequest& request);
  [[nodiscard]] std::vector<UnitCandidate> batch_norm_candidates(const KernelRequest& request);
  [[nodiscard]] std::vector<UnitCandidate> timed_candidates(const KernelRequest& request);
  [[nodiscard]] std::unique_ptr<Kernel> make(const KernelRequest& request, const UnitCandidate& candidate);
  [[nodiscard]] std::unique_ptr<Kernel> make_best_conv(const KernelRequest& request,
                                                       const UnitCandidate& candidate);

  CpuContext context_;
  Onednn onednn_;
  Tuner tuner_;
  CpuChoices choices_;
  std::map<ValueId, UnitCandidate> chosen_;  // by the unit's output
};

}  // namespace descent
