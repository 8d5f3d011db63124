#include "cuda/factory.h"

#include "cuda/choice.h"
#include "cuda/kernels.h"
#include "cuda/libraries.h"
#include "cuda/load.h"
#include "cuda/mailbox.h"
#include "cuda/neighbours.h"
#include "descent/error.h"
#include "plan/claims.h"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace descent {

namespace {

template <class Operation>
bool is_a(const Op& op) {
  return std::holds_alternative<Operation>(op);
}

// Channels-last where there are channels and pixels, but plain where the order of elements means something.
Layout layout_of(const KernelRequest& request) {
  const Op& op = request.unit.first().op;
  const bool plain =
      is_a<Flatten>(op) || is_a<Linear>(op) || is_a<Dropout>(op) || is_a<SoftmaxCrossEntropy>(op);
  return plain || request.inputs.front().shape.rank() != 4 ? nchw : nhwc;
}

// Descent's kernels compute a convolution with what surrounds it in few passes; the library's multiply faster
// once there is much to multiply, or much to add up for each output. The rule where nothing is timed.
bool suits_the_library(const Conv& conv, const Shape& input, const Shape& output) {
  constexpr std::int64_t least_channels = 8;  // of a group: fewer leave the library's tiles empty
  constexpr double little_work = 5e8;
  constexpr std::int64_t few_products = 600;
  const std::int64_t channels = input[1] / conv.groups;
  if (conv.groups > 1 && channels < least_channels) return false;
  const std::int64_t products = channels * conv.kernel.height * conv.kernel.width;
  return products > few_products || 2.0 * static_cast<double>(products * output.elements()) > little_work;
}

}  // namespace

CudaFactory::CudaFactory(std::shared_ptr<CudaState> state, const PlanRequest& request)
    : state_(std::move(state)),
      precision_(request.precision),
      result_(request.loss ? std::make_unique<CudaResult>(state_->context) : nullptr) {}

// Not while another thread records: its recording would end in an error.
CudaFactory::~CudaFactory() {
  const std::lock_guard lock(state_->mutex);
  cudaStreamSynchronize(state_->context.stream);
  CudaFactory::forget();
}

void CudaFactory::enter() {
  check(cudaSetDevice(state_->context.ordinal), "cudaSetDevice");
}

void CudaFactory::run(const PlanPart& part, const StepContext& context, const std::function<void()>& kernels) {
  const CudaTurn turn(*state_);
  const auto work = [&] {
    kernels();
    state_->side->catch_up();
  };
  if (draws_) {
    const StepMoment moment{context.seed, context.first_picture, context.epoch};
    post(state_->context, state_->moment.as<StepMoment>(), moment);
  }
  const bool gathers = result_ != nullptr && part.kind != PlanPart::Kind::backward;
  const auto found = std::ranges::find(recordings_, part, &Recording::part);
  if (part.kind == PlanPart::Kind::other) {
    work();
  } else if (found == recordings_.end()) {
    work();
    recordings_.push_back({part, {}});
  } else {
    if (found->graph == nullptr) record(*found, work);
    check(cudaGraphLaunch(found->graph.get(), state_->context.stream), "cudaGraphLaunch");
    if (gathers) result_->expect();
  }
}

void CudaFactory::record(Recording& recording, const std::function<void()>& work) {
  state_->side->catch_up();  // a run that failed may have left something behind: a recording cannot wait for it
  recording_ = true;
  try {
    recording.graph = record_work(state_->context.stream, work);
  } catch (...) {
    recording_ = false;
    state_->side->forget();
    throw;
  }
  recording_ = false;
}

void CudaFactory::forget() {
  recordings_.clear();
}

std::size_t CudaFactory::claim(std::span<const Layer* const> run, const PlanRequest& request) const {
  const std::size_t claimed = claimed_layers(run, request);
  const auto* const conv = std::get_if<Conv>(&run.front()->op);
  if (request.mode != Mode::train || conv == nullptr || claimed != 2 || !is_a<GeneralRelu>(run[1]->op))
    return claimed;
  // An activation wants the sums before it kept: descent's kernels do that, the library's do not.
  const bool library = state_->library_kernels && state_->libraries != nullptr;
  const Shape input = run.front()->input.with_batch(request.batch);
  const Shape output = run.front()->output.with_batch(request.batch);
  return library && (!state_->own_kernels || suits_the_library(*conv, input, output)) ? 1 : claimed;
}

void CudaFactory::consider(std::span<const KernelRequest> /*requests*/) {}

void CudaFactory::introduce(const KernelRequest& request, Kernel& kernel) {
  const std::vector<Kernel*> writers = introductions_.introduce(request, kernel);
  auto* const reader = dynamic_cast<NormReader*>(&kernel);
  for (std::size_t input = 0; reader != nullptr && input < writers.size(); ++input) {
    auto* const writer = dynamic_cast<NormWriter*>(writers[input]);
    if (writer != nullptr) reader->meet(*writer, input);
  }
}

std::unique_ptr<Kernel> CudaFactory::prepare(const KernelRequest& asked) {
  const CudaTurn turn(*state_);
  const Layout layout = layout_of(asked);
  draws_ = draws_ || is_a<Dropout>(asked.unit.first().op);
  KernelRequest request = asked;
  if (!is_a<SoftmaxCrossEntropy>(asked.unit.first().op)) {
    for (TensorDesc& input : request.inputs) input = input.in({precision_, layout});
    request.output = request.output.in({precision_, layout});
  }
  const CudaContext& context = state_->context;
  CudaLibraries* const libraries = state_->library_kernels ? state_->libraries.get() : nullptr;
  const KernelChoices choices{*state_->tuner, state_->own_kernels};
  std::unique_ptr<Kernel> kernel = std::visit(
      [&](const auto& op) {
        KernelMakers makers;
        makers.own = [&] { return make_cuda_kernel(op, request, layout, context); };
        if (libraries == nullptr) return makers.own();
        using Operation = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<Operation, Conv>) {
          makers.library = [&] { return libraries->make_conv(request, layout, context, choices); };
          makers.prefers_library = suits_the_library(op, request.inputs.front().shape, request.output.shape);
        } else if constexpr (std::is_same_v<Operation, Linear>) {
          makers.library = [&] { return libraries->make_linear(request, layout, context); };
          makers.prefers_library = true;
        }
        return choose_kernel(choices, request, makers);
      },
      request.unit.first().op);
  introduce(request, *kernel);
  return kernel;
}

// Neither order matters where there is one channel or one pixel.
bool CudaFactory::same_bytes(const TensorDesc& desc, Format other) const {
  if (desc.type != other.type) return false;
  const Shape& shape = desc.shape;
  return desc.layout == other.layout || shape.rank() != 4 || shape[1] == 1 || shape[2] * shape[3] == 1;
}

std::unique_ptr<Kernel> CudaFactory::prepare_reorder(const TensorDesc& from, Format to, bool gradient) {
  return make_cuda_reorder(from, to, gradient, state_->context);
}

std::unique_ptr<Kernel> CudaFactory::prepare_gradient_sum(const TensorDesc& desc, std::size_t branches,
                                                          Kernel* writer) {
  auto sum = make_cuda_gradient_sum(desc, branches, state_->context);
  auto* const branched = dynamic_cast<BranchedGradient*>(sum.get());
  auto* const reader = dynamic_cast<BranchReader*>(writer);
  if (branched != nullptr && reader != nullptr) branched->leave_to(*reader);
  return sum;
}

bool CudaFactory::loads_into(const TensorDesc& /*input*/) const {
  return true;
}

void CudaFactory::load(const PictureSource& source, const PictureBatch& batch, const Tensor& input,
                       const Tensor* targets) {
  const CudaTurn turn(*state_);
  load_pictures_cuda(*state_, source, batch, input, targets);
}

// While a part is recorded nothing runs: run() expects a result of each launch.
void CudaFactory::gather_result(const Tensor& loss_rows) {
  run_beside(state_->context, [&](const CudaContext& context) {
    result_->gather(context, static_cast<const float*>(loss_rows.data), loss_rows.desc.shape[0]);
  });
  if (!recording_) result_->expect();
}

std::optional<StepResult> CudaFactory::gathered_result() {
  if (result_ == nullptr || !result_->is_expected()) return std::nullopt;
  return result_->result(state_->mutex);
}

void CudaFactory::prepare_update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) {
  const CudaTurn turn(*state_);
  if (update_ == nullptr) update_ = std::make_unique<CudaUpdate>(state_->context);
  const CudaUpdateKey key = update_->prepare(store, state, request);
  if (key != prepared_) {
    std::erase_if(recordings_,
                  [](const Recording& recording) { return recording.part.kind == PlanPart::Kind::step; });
  }
  prepared_ = key;
}

void CudaFactory::enqueue_update() {
  update_->enqueue(result_->loss_sum());
}

}  // namespace descent
