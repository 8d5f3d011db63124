#include "cuda/tuner.h"

#include "cuda/check.h"
#include "cuda/recording.h"
#include "cuda/side_stream.h"
#include "cuda/stream.h"
#include "descent/error.h"
#include "plan/element.h"
#include "plan/measured_names.h"
#include "plan/trial_binding.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace descent {

namespace {

// Numbers between 1/64 and 1/32 in size, in no order that would repeat soon. Two of them side by side are an
// f32 of that size as well.
std::vector<Bf16> small_numbers(std::size_t count) {
  std::vector<Bf16> numbers(count);
  std::uint32_t state = 1;
  for (Bf16& number : numbers) {
    state = state * 1664525U + 1013904223U;
    const float size = (1.0F + static_cast<float>(state >> 25U) / 128.0F) / 64.0F;
    number = to_bf16((state & 0x1000000U) != 0 ? size : -size);
  }
  return numbers;
}

// Between two events around what `enqueue` puts on the stream.
double seconds_on_stream(cudaStream_t stream, const std::function<void()>& enqueue) {
  const CudaEvent begin(cudaEventDefault);
  const CudaEvent end(cudaEventDefault);
  check(cudaEventRecord(begin.get(), stream), "cudaEventRecord");
  enqueue();
  check(cudaEventRecord(end.get(), stream), "cudaEventRecord");
  check(cudaEventSynchronize(end.get()), "cudaEventSynchronize");
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), "cudaEventElapsedTime");
  return static_cast<double>(milliseconds) * 1e-3;
}

}  // namespace

void* TrialMemory::take(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  constexpr std::size_t most_from_host = std::size_t{64} << 10U;
  const DeviceBytes& block = taken_.emplace_back(bytes);
  auto* const begin = block.as<std::byte>();
  const std::size_t first = std::min(bytes, most_from_host);
  const std::vector<Bf16> numbers = small_numbers((first + 1) / sizeof(Bf16));
  check(cudaMemcpyAsync(begin, numbers.data(), first, cudaMemcpyHostToDevice, context_.stream),
        "cudaMemcpyAsync");
  for (std::size_t filled = first; filled < bytes;) {
    const std::size_t more = std::min(filled, bytes - filled);
    check(cudaMemcpyAsync(begin + filled, begin, more, cudaMemcpyDeviceToDevice, context_.stream),
          "cudaMemcpyAsync");
    filled += more;
  }
  // The numbers leave the host's memory before they go.
  check(cudaStreamSynchronize(context_.stream), "cudaStreamSynchronize");
  return begin;
}

// Shortest of a few runs. The first loads code and is not counted. Short work is recorded and played back, some
// of it at once, as steps will be: else the time would be that of the host's calls.
double CudaTuner::time_runs(const std::function<void()>& run) const {
  constexpr double budget = 0.02;  // seconds
  constexpr double is_long = 0.002;
  constexpr double worth_an_event = 0.0002;
  constexpr double least = 1e-6;
  constexpr int most_at_once = 16;
  constexpr int runs = 5;
  cudaStream_t const stream = context_.stream;
  run();
  const double first = seconds_on_stream(stream, run);
  int at_once = 1;
  RecordedWork recorded;
  if (first < is_long) {
    at_once = std::clamp(static_cast<int>(worth_an_event / std::max(first, least)), 1, most_at_once);
    recorded = record_work(stream, [&] {
      for (int i = 0; i < at_once; ++i) run();
    });
    check(cudaGraphLaunch(recorded.get(), stream), "cudaGraphLaunch");  // goes to the GPU the first time
  }
  double shortest = first;
  double spent = first;
  for (int i = 0; i < runs && spent < budget; ++i) {
    const double seconds = seconds_on_stream(stream, [&] {
      if (recorded == nullptr) return run();
      check(cudaGraphLaunch(recorded.get(), stream), "cudaGraphLaunch");
    });
    spent += seconds;
    shortest = std::min(shortest, seconds / at_once);
  }
  return shortest;
}

double CudaTuner::seconds(const std::string& key, const std::function<std::function<void()>()>& prepare,
                          const Likeness& like) {
  const auto measure = [&] {
    const std::function<void()> run = prepare();
    return run ? time_runs(run) : never;
  };
  try {
    constexpr double longest = 1e4;  // of seconds that were measured: a small share of `never` is more
    const double seconds = measurements_->seconds(key, measure, like);
    return seconds < longest ? seconds : never;
  } catch (const Error&) {
    // Of a recording there is nothing to wait for; else freeing the trial's memory waits.
    if (context_.side != nullptr) context_.side->forget();
    static_cast<void>(cudaGetLastError());  // was told: not to be taken for one of a later call's
    return never;
  }
}

double CudaTuner::kernel_seconds(const KernelRequest& request, const std::string& whose,
                                 const std::function<Kernel*()>& make) {
  TrialMemory memory(context_);
  const auto prepare = [&]() -> std::function<void()> {
    Kernel* const kernel = make();
    if (kernel == nullptr) return {};
    kernel->bind(
        trial_binding(request, kernel->needs(), [&](std::size_t bytes) { return memory.take(bytes); }));
    kernel->refresh();
    return [this, kernel, trains = request.plan.mode == Mode::train] {
      kernel->forward({});
      if (!trains) return;
      kernel->backward({});
      if (context_.side != nullptr) context_.side->catch_up();
    };
  };
  const auto timed = [&](const TimedBatch& batch) { return unit_name(batch.of(request)) + ", " + whose; };
  return seconds(unit_name(request) + ", " + whose, prepare, TimedBatch(request.plan).like(timed));
}

}  // namespace descent
