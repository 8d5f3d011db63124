// The CUDA device's side of assemble(): which kernel computes which unit, in which order and type of numbers;
// and the recordings of a plan's parts.
#pragma once

#include "cuda/recording.h"
#include "cuda/result.h"
#include "cuda/state.h"
#include "plan/introductions.h"
#include "plan/kernel.h"

#include <memory>
#include <vector>

namespace descent {

class CudaFactory final : public KernelFactory {
 public:
  CudaFactory(std::shared_ptr<CudaState> state, const PlanRequest& request);
  CudaFactory(const CudaFactory&) = delete;
  CudaFactory& operator=(const CudaFactory&) = delete;
  ~CudaFactory() override;

  void enter() override;
  // The first time as asked for, the second time recorded, from then on played back.
  void run(const PlanPart& part, const StepContext& context, const std::function<void()>& kernels) override;
  void forget() override;
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

  void begin_backward() override { state_->side->advance(); }
  void end_backward() override { state_->side->catch_up(); }
  void gather_result(const Tensor& loss_rows) override;
  [[nodiscard]] std::optional<StepResult> gathered_result() override;
  [[nodiscard]] bool joins_update() const override { return true; }
  void prepare_update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) override;
  void enqueue_update() override;

 private:
  // A part that has run at least once.
  struct Recording {
    PlanPart part;
    RecordedWork graph{};  // null: run once, not recorded yet
  };

  void record(Recording& recording, const std::function<void()>& work);
  // Kernels that stand next to each other may spare each other a pass.
  void introduce(const KernelRequest& request, Kernel& kernel);

  std::shared_ptr<CudaState> state_;
  DType precision_;
  std::unique_ptr<CudaResult> result_;  // null without a loss
  std::vector<Recording> recordings_;
  Introductions introductions_;
  bool draws_ = false;  // some kernel reads the StepMoment
  bool recording_ = false;
  std::unique_ptr<CudaUpdate> update_;  // of this plan's steps: another thread's plan may step in between
  CudaUpdateKey prepared_;
};

}  // namespace descent
