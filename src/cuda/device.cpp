#include "cuda/device.h"

#include "cuda/factory.h"
#include "cuda/libraries.h"
#include "cuda/load.h"
#include "cuda/peaks.h"
#include "cuda/weight_products.h"
#include "descent/error.h"
#include "plan/element.h"
#include "plan/measured_names.h"
#include "plan/measurements.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

namespace descent {

namespace {

[[noreturn]] void refuse(DType type) {
  throw Error("a CUDA device keeps tensors in f32 and bf16, not in " + std::string(name(type)), Fault::failure);
}

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// One sentence on what is missing, if anything is.
void find_gpu(int ordinal) {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    throw Error("there is no NVIDIA driver on this machine, which --device cuda needs");
  }
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    throw Error("there is no CUDA device on this machine, or CUDA_VISIBLE_DEVICES hides it");
  }
  if (status == cudaErrorInsufficientDriver) {
    throw Error(
        fmt::format("the NVIDIA driver is too old: it knows CUDA {}, and descent was built with CUDA {}",
                    version_text(driver), version_text(CUDART_VERSION)));
  }
  check(status, "cudaGetDeviceCount");
  if (ordinal >= count) {
    throw Error(fmt::format("there is no CUDA device {}: this machine has {}, counted from 0", ordinal, count));
  }
}

}  // namespace

CudaDevice::CudaDevice(int ordinal, const DeviceOptions& options) : state_(std::make_shared<CudaState>()) {
  find_gpu(ordinal);
  check(cudaSetDevice(ordinal), "cudaSetDevice");
  check(cudaGetDeviceProperties(&properties_, ordinal), "cudaGetDeviceProperties");
  CudaContext& context = state_->context;
  context.ordinal = ordinal;
  context.multiprocessors = properties_.multiProcessorCount;
  context.tf32 = options.tf32;
  context.compute = properties_.major * 10 + properties_.minor;
  context.shared_bytes = properties_.sharedMemPerBlockOptin;
  if (context.compute < 75) {
    throw Error(fmt::format("{} has compute capability {}.{}; descent needs 7.5 or newer", properties_.name,
                            properties_.major, properties_.minor));
  }
  context.tensor_cores = has_tensor_cores();
  context.stream = state_->stream.create(stream_priorities().first);
  state_->side = std::make_unique<SideStream>(context.stream);
  context.side = state_->side.get();
  state_->moment = DeviceBytes(sizeof(StepMoment));
  context.moment = state_->moment.as<const StepMoment>();
  state_->own_kernels = options.kernels != Kernels::library;
  state_->library_kernels = options.kernels != Kernels::own;
  state_->libraries = open_cuda_libraries(context);
  std::unique_ptr<Measurements> measurements;
  if (options.measure) {
    const std::string machine = timed_machine(machine_text());
    measurements = std::make_unique<Measurements>(Measurements::Settings{
        machine, options.plan_file, options.use_plan_cache ? plan_cache_file(machine) : std::filesystem::path{},
        options.tell});
  }
  state_->tuner = std::make_unique<CudaTuner>(context, std::move(measurements));
  state_->staging = std::make_unique<Staging>(context);
  state_->update = std::make_unique<CudaUpdate>(context);
  summaries_ = std::make_unique<CudaSummaries>(context);
}

CudaDevice::~CudaDevice() {
  const std::lock_guard lock(state_->mutex);
  if (state_->context.stream != nullptr) cudaStreamSynchronize(state_->context.stream);
}

std::string CudaDevice::description() const {
  int driver = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  return fmt::format("{}, compute capability {}.{}, {} multiprocessors, CUDA {} on a driver for {}",
                     properties_.name, properties_.major, properties_.minor, properties_.multiProcessorCount,
                     version_text(CUDART_VERSION), version_text(driver));
}

// What times depend on, beside the kernels themselves.
std::string CudaDevice::machine_text() const {
  std::string text = description();
  if (state_->context.tf32) text += ", with tf32";
  if (state_->libraries == nullptr) return text;
  for (const DeviceFact& fact : state_->libraries->facts()) text += ", " + fact.subject + " " + fact.finding;
  return text;
}

std::vector<DeviceFact> CudaDevice::facts() const {
  const CudaTurn turn(*state_);
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  constexpr double gibibyte = 1U << 30U;
  std::vector<DeviceFact> facts{
      {"memory", fmt::format("{:.1f} GiB, of which {:.1f} are free", static_cast<double>(total) / gibibyte,
                             static_cast<double>(free) / gibibyte)}};
  if (state_->libraries) {
    for (DeviceFact& fact : state_->libraries->facts()) facts.push_back(std::move(fact));
  } else {
    facts.push_back({"libraries", "none built in: descent's own kernels alone"});
  }
  facts.push_back({"plan cache", plan_cache_text()});
  return facts;
}

Peaks CudaDevice::peaks() {
  const CudaTurn turn(*state_);
  return measure_cuda_peaks(state_->context);
}

Buffer CudaDevice::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  const CudaTurn turn(*state_);
  void* data = nullptr;
  check(cudaMalloc(&data, bytes), "cudaMalloc");
  Buffer buffer(data, bytes, [](void* address) noexcept { static_cast<void>(cudaFree(address)); });
  check(cudaMemsetAsync(data, 0, bytes, state_->context.stream), "cudaMemsetAsync");
  return buffer;
}

void CudaDevice::upload(void* to, DType type, std::span<const float> from) {
  if (type != DType::f32 && type != DType::bf16) refuse(type);
  const CudaTurn turn(*state_);
  const auto send = [&](const void* source, std::size_t bytes) {
    check(cudaMemcpyAsync(to, source, bytes, cudaMemcpyHostToDevice, state_->context.stream),
          "cudaMemcpyAsync");
    wait();
  };
  if (from.empty()) return;
  if (type == DType::f32) return send(from.data(), from.size_bytes());
  std::vector<Bf16> rounded(from.size());
  std::ranges::transform(from, rounded.begin(), to_bf16);
  send(rounded.data(), rounded.size() * sizeof(Bf16));
}

void CudaDevice::download(std::span<float> to, const void* from, DType type) {
  if (type != DType::f32 && type != DType::bf16) refuse(type);
  const CudaTurn turn(*state_);
  const auto fetch = [&](void* place, std::size_t bytes) {
    check(cudaMemcpyAsync(place, from, bytes, cudaMemcpyDeviceToHost, state_->context.stream),
          "cudaMemcpyAsync");
    wait();
  };
  if (to.empty()) return;
  if (type == DType::f32) return fetch(to.data(), to.size_bytes());
  std::vector<Bf16> values(to.size());
  fetch(values.data(), values.size() * sizeof(Bf16));
  std::ranges::transform(values, to.begin(), [](Bf16 value) { return to_f32(value); });
}

void CudaDevice::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  const CudaTurn turn(*state_);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, state_->context.stream), "cudaMemcpyAsync");
}

void CudaDevice::summarise(const Values& values, bool histogram, Summary& result) {
  if (values.type != DType::f32 && values.type != DType::bf16) refuse(values.type);
  const CudaTurn turn(*state_);
  summaries_->start(values, histogram, result);
}

std::unique_ptr<Plan> CudaDevice::prepare(const Network& network, const PlanRequest& request,
                                          ParameterStore& store) {
  const CudaTurn turn(*state_);
  auto plan = assemble(*this, std::make_shared<CudaFactory>(state_, request), network, request, store);
  state_->tuner->finish();
  return plan;
}

// Half of what is free stays free: for plans, which are prepared before or after.
std::unique_ptr<PlacedPictures> CudaDevice::place(const PictureSource& source) {
  const CudaTurn turn(*state_);
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  if (source.pictures.size_bytes() + source.labels.size_bytes() > free / 2) return nullptr;
  return std::make_unique<CudaPictures>(state_->context, source);
}

void CudaDevice::update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) {
  const CudaTurn turn(*state_);
  state_->update->prepare(store, state, request);
  state_->update->enqueue(nullptr);
  store.mark_changed();
}

std::string CudaDevice::plan_text() const {
  const CudaTurn turn(*state_);
  return state_->tuner->text();
}

void CudaDevice::wait() {
  const CudaTurn turn(*state_);
  check(cudaStreamSynchronize(state_->context.stream), "cudaStreamSynchronize");
  summaries_->finish();
}

}  // namespace descent
