// Arithmetic in f32: chains of multiply-adds in registers, many warps. In bf16: chains of the warp's own
// products on tensor cores, the instruction that descent's kernels use; libraries have one for groups of four
// warps on newer devices, which computes up to half more. Memory: a copy, a pack of four f32 a thread; 16 MiB
// lie in the L2 cache of large GPUs.
#include "cuda/peaks.h"

#include "cuda/launch.h"
#include "cuda/memory.h"
#include "cuda/sums.h"

#include <algorithm>
#include <vector>

namespace descent {
namespace {

constexpr int chains = 8;
constexpr int rounds = 4096;

__global__ void multiply_add(float factor, float term, float* sink) {
  float sums[chains];
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = static_cast<float>(threadIdx.x) + static_cast<float>(chain);
  for (int round = 0; round < rounds; ++round) {
    for (int chain = 0; chain < chains; ++chain) sums[chain] = sums[chain] * factor + term;
  }
  float sum = 0;
  for (int chain = 0; chain < chains; ++chain) sum += sums[chain];
  if (sum == 0.25F) *sink = sum;  // never, which no compiler knows
}

constexpr double flops_of_tiles = 2.0 * 16 * 8 * 16;  // of one instruction of a warp

__global__ void multiply_in_tiles(std::uint32_t pairs, float* sink) {
  const std::uint32_t left[4] = {pairs, pairs, pairs, pairs};
  float sums[chains][4] = {};
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int chain = 0; chain < chains; ++chain) multiply_tiles(sums[chain], left, pairs, pairs);
  }
  float sum = 0;
  for (int chain = 0; chain < chains; ++chain) sum += sums[chain][0];
  if (sum == 0.25F) *sink = sum;  // never, which no compiler knows
}

using Four = Pack<float, 4>;

__global__ void copy(const Four* from, Four* to, std::int64_t count) {
  for (const std::int64_t i : grid_stride(count)) to[i] = from[i];
}

class Stopwatch {
 public:
  explicit Stopwatch(const CudaContext& context) : context_(context) {
    for (cudaEvent_t* event : {&begin_, &end_}) {
      check(cudaEventCreateWithFlags(event, cudaEventDefault), "cudaEventCreateWithFlags");
    }
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }

  // Of several runs the shortest.
  template <class Work>
  double least_seconds(const Work& work) const {
    constexpr int runs = 10;
    float least = 1e30F;
    for (int run = 0; run < runs; ++run) {
      check(cudaEventRecord(begin_, context_.stream), "cudaEventRecord");
      work();
      check(cudaEventRecord(end_, context_.stream), "cudaEventRecord");
      check(cudaEventSynchronize(end_), "cudaEventSynchronize");
      float milliseconds = 0;
      check(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
      least = std::min(least, milliseconds);
    }
    return static_cast<double>(std::max(least, 1e-6F)) * 1e-3;
  }

 private:
  CudaContext context_;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

}  // namespace

Peaks measure_cuda_peaks(const CudaContext& context) {
  constexpr std::size_t mebibyte = std::size_t{1} << 20U;
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  std::vector<std::size_t> sizes{4 * mebibyte};
  while (sizes.size() < 5 && sizes.back() * 4 < free / 2) sizes.push_back(sizes.back() * 4);
  const Stopwatch watch(context);
  Peaks peaks;
  const DeviceBytes sink(sizeof(float));
  const unsigned blocks = 8U * static_cast<unsigned>(context.multiprocessors);
  constexpr unsigned threads = 256;
  const double seconds = watch.least_seconds([&] {
    launch(context, "multiply-adds", {blocks, threads}, multiply_add, 1.0F, 0.0F, sink.as<float>());
  });
  peaks.f32_flops = 2.0 * chains * rounds * blocks * threads / seconds;
  if (context.tensor_cores) {
    constexpr std::uint32_t two_small_numbers = 0x3c003c00;
    const double of_tiles = watch.least_seconds([&] {
      launch(context, "products of tiles", {blocks, threads}, multiply_in_tiles, two_small_numbers,
             sink.as<float>());
    });
    peaks.bf16_flops = flops_of_tiles * chains * rounds * blocks * (threads / 32) / of_tiles;
  }
  const DeviceBytes from(sizes.back() / 2);
  const DeviceBytes to(sizes.back() / 2);
  for (const std::size_t bytes : sizes) {
    const auto count = static_cast<std::int64_t>(bytes / 2 / sizeof(Four));
    const double of_copy = watch.least_seconds([&] {
      launch(context, "copy", grid_for(context, count), copy, from.as<const Four>(), to.as<Four>(), count);
    });
    peaks.copies.push_back({bytes, static_cast<double>(bytes) / of_copy});
  }
  return peaks;
}

}  // namespace descent
