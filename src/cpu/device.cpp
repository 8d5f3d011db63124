#include "cpu/device.h"

#include "base/processor.h"
#include "base/usable_cores.h"
#include "cpu/aligned.h"
#include "cpu/make_device.h"
#include "cpu/peaks.h"
#include "cpu/simd.h"
#include "cpu/summarise.h"
#include "cpu/update.h"
#include "descent/error.h"
#include "plan/element.h"
#include "plan/measured_names.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <new>
#include <utility>

namespace descent {

namespace {

// "avx512_core_bf16": what oneDNN may use here.
std::string instruction_set() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx2_vnni:
      return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core:
      return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    default:
      return fmt::format("isa {:#x}", static_cast<unsigned>(dnnl::get_effective_cpu_isa()));
  }
}

// "3.2.0"
std::string library_version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

bool has_bf16_instructions() {
  constexpr auto wanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

std::string machine_text(int threads) {
  return fmt::format("{}, {}, {} threads, oneDNN {}", processor_name(), instruction_set(), threads,
                     library_version());
}

// The program computes what was asked for, whatever the environment says (ONEDNN_DEFAULT_FPMATH_MODE).
void pin_library_settings() {
  dnnl::set_default_fpmath_mode(dnnl::fpmath_mode::strict);
}

[[noreturn]] void refuse(DType type) {
  throw Error("the CPU keeps tensors in f32 and bf16, not in " + std::string(name(type)), Fault::failure);
}

}  // namespace

std::unique_ptr<Device> make_cpu_device(const DeviceOptions& options) {
  return std::make_unique<CpuDevice>(options);
}

CpuDevice::CpuDevice(const DeviceOptions& options, const CpuChoices& choices)
    : engine_(dnnl::engine::kind::cpu, 0), choices_(choices), warn_(options.warn) {
  if (options.kernels == Kernels::own) choices_.library = false;
  if (options.kernels == Kernels::library) choices_.own = false;
  if (options.tf32) throw Error("the CPU computes f32 as it is: tf32 is for 'cuda'");
  if (options.threads < 0) throw Error("the number of threads must not be negative");
  context_.threads = options.threads > 0 ? options.threads : requested_threads().value_or(usable_cores());
  pin_library_settings();
  omp_set_dynamic(0);
  enter(context_);
  if (!options.measure) return;
  const std::string machine = timed_machine(machine_text(context_.threads).append(loops_of_build));
  Measurements::Settings settings{machine, options.plan_file, {}, options.tell};
  if (options.use_plan_cache) settings.cache_file = plan_cache_file(machine);
  timing_ = std::make_unique<Timing>(std::move(settings), context_.threads);
}

std::string CpuDevice::description() const {
  return machine_text(context_.threads);
}

std::vector<DeviceFact> CpuDevice::facts() const {
  return {
      {"instructions", instruction_set()}, {"oneDNN", library_version()}, {"plan cache", plan_cache_text()}};
}

Peaks CpuDevice::peaks() {
  return measure_peaks(context_);
}

Buffer CpuDevice::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  return {allocate_zeroed(bytes), bytes, release_zeroed};
}

void CpuDevice::upload(void* to, DType type, std::span<const float> from) {
  if (type == DType::bf16) {
    std::ranges::transform(from, static_cast<Bf16*>(to), to_bf16);
    return;
  }
  if (type != DType::f32) refuse(type);
  if (!from.empty()) std::memcpy(to, from.data(), from.size_bytes());
}

void CpuDevice::download(std::span<float> to, const void* from, DType type) {
  if (type == DType::bf16) {
    const std::span values(static_cast<const Bf16*>(from), to.size());
    std::ranges::transform(values, to.begin(), [](Bf16 value) { return to_f32(value); });
    return;
  }
  if (type != DType::f32) refuse(type);
  if (!to.empty()) std::memcpy(to.data(), from, to.size_bytes());
}

void CpuDevice::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
}

void CpuDevice::summarise(const Values& values, bool histogram, Summary& result) {
  enter(context_);
  const auto summarise_as = [&]<class Element>(Element /*type*/) {
    result = descent::summarise(context_, static_cast<const Element*>(values.values),
                                static_cast<const Element*>(values.minus),
                                static_cast<std::int64_t>(values.count), histogram);
  };
  if (values.type == DType::bf16) return summarise_as(Bf16{});
  if (values.type != DType::f32) refuse(values.type);
  summarise_as(0.0F);
}

std::unique_ptr<Plan> CpuDevice::prepare(const Network& network, const PlanRequest& request,
                                         ParameterStore& store) {
  const std::lock_guard lock(preparing_);
  const auto factory = std::make_shared<CpuFactory>(context_, engine_, timing_.get(), choices_, request);
  std::unique_ptr<Plan> plan = assemble(*this, factory, network, request, store);
  if (request.precision == DType::bf16) warn_of_bf16(*factory);
  return plan;
}

void CpuDevice::warn_of_bf16(const CpuFactory& factory) {
  if (!warn_) return;
  const auto warn = std::exchange(warn_, nullptr);
  const bool computes = factory.computes_in(DType::bf16);
  if (!has_bf16_instructions()) {
    warn(fmt::format("{} has no instructions for bf16: {}", instruction_set(),
                     computes ? "numbers are kept in it but computed in f32, which saves memory and hardly time"
                              : "nothing is computed in it"));
  } else if (!computes) {
    warn("nothing is computed in bf16: f32 is faster here, or there is no kernel for bf16");
  }
}

void CpuDevice::update(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) {
  enter(context_);
  ++state.step;
  update_flat(context_,
              {static_cast<float*>(store.values().data()), static_cast<const float*>(store.gradients().data()),
               static_cast<float*>(state.values().data()), store.layout().trained_elements, state.step},
              request);
  store.mark_changed();
}

std::string CpuDevice::plan_text() const {
  const std::lock_guard lock(preparing_);
  return timing_ ? timing_->measurements.text() : std::string{};
}

}  // namespace descent
