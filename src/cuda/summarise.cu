// A fixed number of blocks each sums up its share around a pivot, in double, and counts in shared memory; one
// block then joins the shares in a fixed order and writes to memory of the host. Bound: bytes, each value read
// once.
#include "cuda/summarise.h"

#include "cuda/launch.h"
#include "cuda/sums.h"
#include "plan/element.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace descent {
namespace {

constexpr unsigned shares = 128;
constexpr unsigned threads = 256;
constexpr std::size_t most_waiting = 512;
constexpr int bins = static_cast<int>(Summary::bins);

struct Share {
  double sum;      // Σ (x − pivot)
  double squares;  // Σ (x − pivot)²
  unsigned long long counted[bins];
};

struct Letter {
  double mean;
  double squared_deviations;
  std::int64_t histogram[bins];
};

template <class Element>
__device__ float value_at(const Element* values, const Element* minus, std::int64_t i) {
  return minus == nullptr ? to_f32(values[i]) : to_f32(values[i]) - to_f32(minus[i]);
}

// Any value near the others keeps the digits of the deviations.
template <class Element>
__device__ double pivot_of(const Element* values, const Element* minus) {
  const float first = value_at(values, minus, 0);
  return std::isfinite(first) ? static_cast<double>(first) : 0.0;
}

// The bin of a value, or none: larger ones and what is not a number.
__device__ int bin_of(float value) {
  constexpr auto per_unit = static_cast<float>(1 / Summary::bin_width);
  constexpr auto last = static_cast<float>(Summary::bins - 1);
  constexpr auto limit = static_cast<float>(Summary::bins * Summary::bin_width);
  const float size = std::fabs(value);
  if (!(size <= limit)) return bins;
  const float scaled = size * per_unit;
  return static_cast<int>(scaled < last ? scaled : last);
}

template <class Element>
__global__ void sum_shares(const Element* values, const Element* minus, std::int64_t count, bool histogram,
                           Share* to) {
  __shared__ double shared[32];
  __shared__ unsigned counted[bins + 1];
  for (unsigned bin = threadIdx.x; bin <= static_cast<unsigned>(bins); bin += blockDim.x) counted[bin] = 0;
  __syncthreads();
  const double pivot = pivot_of(values, minus);
  double sum = 0;
  double squares = 0;
  for (const std::int64_t i : grid_stride(count)) {
    const float value = value_at(values, minus, i);
    const double apart = static_cast<double>(value) - pivot;
    sum += apart;
    squares += apart * apart;
    if (histogram) atomicAdd(&counted[bin_of(value)], 1U);  // whole numbers: in any order the same
  }
  sum = block_sum(sum, shared);
  squares = block_sum(squares, shared);
  Share& share = to[blockIdx.x];
  for (unsigned bin = threadIdx.x; bin < static_cast<unsigned>(bins); bin += blockDim.x)
    share.counted[bin] = counted[bin];
  if (threadIdx.x != 0) return;
  share.sum = sum;
  share.squares = squares;
}

template <class Element>
__global__ void join_shares(const Element* values, const Element* minus, std::int64_t count, const Share* from,
                            Letter* letter) {
  __shared__ double shared[32];
  const double sum = block_sum(from[threadIdx.x].sum, shared);
  const double squares = block_sum(from[threadIdx.x].squares, shared);
  if (threadIdx.x < static_cast<unsigned>(bins)) {
    unsigned long long total = 0;
    for (unsigned share = 0; share < shares; ++share) total += from[share].counted[threadIdx.x];
    letter->histogram[threadIdx.x] = static_cast<std::int64_t>(total);
  }
  if (threadIdx.x != 0) return;
  const auto number = static_cast<double>(count);
  const double apart = sum / number;
  const double deviations = squares - sum * apart;
  letter->mean = pivot_of(values, minus) + apart;
  letter->squared_deviations = deviations < 0 ? 0 : deviations;  // keeps what is not a number
}

}  // namespace

CudaSummaries::CudaSummaries(const CudaContext& context)
    : context_(context), parts_(shares * sizeof(Share)), letters_(most_waiting * sizeof(Letter)) {}

void CudaSummaries::start(const Device::Values& values, bool histogram, Summary& result) {
  result = {};
  result.count = static_cast<std::int64_t>(values.count);
  if (values.count == 0) return;
  if (waiting_.size() == most_waiting) {
    check(cudaStreamSynchronize(context_.stream), "cudaStreamSynchronize");
    finish();
  }
  Letter* const letter = letters_.on_device<Letter>() + waiting_.size();
  with_element(values.type, [&]<class Element>(Element /*type*/) {
    const auto* const from = static_cast<const Element*>(values.values);
    const auto* const minus = static_cast<const Element*>(values.minus);
    launch(context_, "summary", {shares, threads}, sum_shares<Element>, from, minus, result.count, histogram,
           parts_.as<Share>());
    launch(context_, "end of a summary", {1, shares}, join_shares<Element>, from, minus, result.count,
           static_cast<const Share*>(parts_.as<Share>()), letter);
  });
  waiting_.push_back(&result);
}

void CudaSummaries::finish() {
  const auto* letter = letters_.as<const Letter>();
  for (Summary* summary : waiting_) {
    summary->mean = letter->mean;
    summary->squared_deviations = letter->squared_deviations;
    std::copy_n(letter->histogram, bins, summary->histogram.begin());
    ++letter;
  }
  waiting_.clear();
}

}  // namespace descent
