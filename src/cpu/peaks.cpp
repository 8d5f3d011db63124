// Arithmetic: twelve chains of multiply-adds that never leave registers, more than the latency times the units
// of any processor so far (4 cycles × 2); vectors of 64 and of 32 bytes, the better one counts. In bf16 dot
// products of pairs, or where there is a matrix unit its products, if those are more.
// Memory: each thread copies a stretch of its own; through memcpy, which writes past the caches where that is
// better, and through a plain vector loop; the better one counts.
#include "cpu/peaks.h"

#include "cpu/aligned.h"
#include "cpu/multiply_adds.h"
#include "cpu/parallel.h"
#include "cpu/peak_tiles.h"
#include "cpu/simd.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <numeric>

namespace descent {

namespace {

using Wide = float __attribute__((vector_size(64)));
using Narrow = float __attribute__((vector_size(32)));

constexpr std::size_t chains = multiply_add_chains;
constexpr std::int64_t rounds = 20000;

DESCENT_CLONES void wide_multiply_add(const volatile float* factors, Sink& sink) {
  multiply_add<Wide>(factors, rounds, sink);
}

DESCENT_CLONES void narrow_multiply_add(const volatile float* factors, Sink& sink) {
  multiply_add<Narrow>(factors, rounds, sink);
}

[[gnu::target("avx512f,avx512bf16")]] void bf16_dot(const volatile float* factors, Sink& sink) {
  const __m512i pair = _mm512_set1_epi32(static_cast<int>(std::bit_cast<std::uint32_t>(float{factors[1]})));
  __m512bh pairs;
  std::memcpy(&pairs, &pair, sizeof pairs);
  std::array<Wide, chains> sums;
  for (Wide& sum : sums) sum = Wide{} + factors[1];
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (std::size_t chain = 0; chain < chains; ++chain) {
      sums[chain] = _mm512_dpbf16_ps(sums[chain], pairs, pairs);
    }
  }
  for (std::size_t chain = 1; chain < chains; ++chain) sums[0] += sums[chain];
  std::memcpy(sink.values.data(), sums.data(), sizeof(Wide));
}

DESCENT_CLONES void plain_copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += sizeof(Wide)) {
    Wide value;
    std::memcpy(&value, from + i, sizeof value);
    std::memcpy(to + i, &value, sizeof value);
  }
}

// Of as many runs as fit into a tenth of a second, at least five.
template <class Work>
double least_seconds(const Work& work) {
  using Clock = std::chrono::steady_clock;
  constexpr int fewest = 5;
  constexpr double budget = 0.1;
  double least = 1e30;
  double spent = 0;
  for (int run = 0; run < fewest || spent < budget; ++run) {
    const auto begin = Clock::now();
    work();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    least = std::min(least, seconds);
    spent += seconds;
  }
  return least;
}

// The sum of what the threads do a second: each calls `work(thread)`, `amount` a call, and looks at its own
// clock, because waiting for each other takes longer than such short work.
template <class Work>
double rate_of_threads(int threads, double amount, const Work& work) {
  std::vector<double> rates(static_cast<std::size_t>(threads));
  parallel_for(threads, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t thread = begin; thread < end; ++thread) {
      rates[static_cast<std::size_t>(thread)] = amount / least_seconds([&] { work(thread); });
    }
  });
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

// `width` operations a chain and round.
template <class KernelFunction>
double flops_of(int threads, KernelFunction kernel, double width) {
  const std::array<volatile float, 2> factors{1, 0};
  std::vector<Sink> sinks(static_cast<std::size_t>(threads));
  return rate_of_threads(
      threads, width * static_cast<double>(chains) * static_cast<double>(rounds),
      [&](std::int64_t thread) { kernel(factors.data(), sinks[static_cast<std::size_t>(thread)]); });
}

// Caches belong to threads, memory to all: where it takes part they are timed together.
template <class CopyFunction>
double copy_rate(int threads, std::size_t bytes, std::byte* to, const std::byte* from, CopyFunction copy) {
  constexpr std::size_t line = 64;
  constexpr std::size_t cached = std::size_t{16} << 20U;
  const std::size_t each = bytes / 2 / static_cast<std::size_t>(threads) / line * line;
  const auto copy_stretch = [&](std::int64_t thread) {
    const std::size_t offset = static_cast<std::size_t>(thread) * each;
    copy(to + offset, from + offset, each);
  };
  const auto amount = static_cast<double>(2 * each);
  if (bytes <= cached) return rate_of_threads(threads, amount, copy_stretch);
  return amount * threads / least_seconds([&] {
           parallel_for(threads, threads, 1, [&](std::int64_t begin, std::int64_t end) {
             for (std::int64_t thread = begin; thread < end; ++thread) copy_stretch(thread);
           });
         });
}

}  // namespace

Peaks measure_peaks(const CpuContext& context) {
  constexpr std::size_t mebibyte = std::size_t{1} << 20U;
  constexpr std::array sizes{4 * mebibyte, 16 * mebibyte, 64 * mebibyte, 256 * mebibyte};
  const int threads = context.threads;
  Peaks peaks;
  // Two operations a lane and instruction.
  peaks.f32_flops =
      std::max(flops_of(threads, wide_multiply_add, 2 * 16), flops_of(threads, narrow_multiply_add, 2 * 8));
  if (__builtin_cpu_supports("avx512bf16") != 0) {
    constexpr double products = 32;  // of one instruction
    peaks.bf16_flops = flops_of(threads, bf16_dot, 2 * products);
  }
  if (may_use_bf16_tiles()) {
    const double of_tiles = rate_of_threads(threads, bf16_tile_round * rounds,
                                            [](std::int64_t /*thread*/) { multiply_bf16_tiles(rounds); });
    peaks.bf16_flops = std::max(peaks.bf16_flops, of_tiles);
  }
  const AlignedBytes source(sizes.back() / 2);
  const AlignedBytes destination(sizes.back() / 2);
  const auto* const from = static_cast<const std::byte*>(source.data());
  auto* const to = static_cast<std::byte*>(destination.data());
  for (const std::size_t bytes : sizes) {
    peaks.copies.push_back({bytes, std::max(copy_rate(threads, bytes, to, from, std::memcpy),
                                            copy_rate(threads, bytes, to, from, plain_copy))});
  }
  return peaks;
}

}  // namespace descent
