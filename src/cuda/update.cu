// One pass over parameters, gradients and state for every optimizer: the rule is compiled into the kernel, so
// each value is read once and written once. Bound by memory: a parameter costs 12 bytes with plain SGD, 20 with
// one slot of state, 28 with two. Clipping reads the gradients once more beforehand; its scale stays on the
// device.
#include "cuda/update.h"

#include "cuda/launch.h"
#include "cuda/mailbox.h"
#include "cuda/sums.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <variant>

namespace descent {
namespace {

constexpr std::int64_t chunk = 1024;  // elements; ranges are cut at multiples of it from their beginning
constexpr unsigned threads = 256;
constexpr unsigned parts = 256;  // of the norm: always as many, so that its sum has one order

struct Place {
  std::int64_t begin, end;
  std::int64_t first_chunk;  // chunks of the ranges before
};

// In front of the ranges in the table.
struct Header {
  double clip_norm;  // 0: gradients stay as they are
};

template <class Step>
struct RangeStep {
  Place place;
  float l2;     // g ← g + l2·w
  float decay;  // decoupled: rate · weight decay
  Step step;
};

// The range of a chunk; for all threads of a block, which look at once: one after the other their reads would
// take longer than the step.
template <class Range>
__device__ const Range& range_of(const Range* ranges, int count, std::int64_t number) {
  __shared__ int found;
  __syncthreads();  // the chunk before is done with
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    const bool ends_behind = i + 1 == count || ranges[i + 1].place.first_chunk > number;
    if (ranges[i].place.first_chunk <= number && ends_behind) found = i;
  }
  __syncthreads();
  return ranges[found];
}

__device__ std::int64_t smaller(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

// Calls f(i) for this thread's elements of a chunk.
template <class Function>
__device__ void for_chunk(const Place& place, std::int64_t number, const Function& f) {
  const std::int64_t begin = place.begin + (number - place.first_chunk) * chunk;
  const std::int64_t end = smaller(place.end, begin + chunk);
  for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) f(i);
}

template <class Step>
__global__ void square(const RangeStep<Step>* ranges, int count, std::int64_t chunks, const float* gradients,
                       double* sums) {
  __shared__ double shared[32];
  double sum = 0;
  for (std::int64_t number = blockIdx.x; number < chunks; number += gridDim.x) {
    for_chunk(range_of(ranges, count, number).place, number, [&](std::int64_t i) {
      sum += static_cast<double>(gradients[i]) * static_cast<double>(gradients[i]);
    });
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// The last of the sums' places gets the scale.
__global__ void find_scale(const Header* header, double* sums) {
  __shared__ double shared[32];
  const double norm = std::sqrt(block_sum(sums[threadIdx.x], shared));
  if (threadIdx.x != 0) return;
  const double limit = header->clip_norm;
  sums[parts] = norm > limit ? limit / norm : 1;
}

// g ← gradient · scale + l2 · w;  w ← w − (decay · w + rule(g)).
template <std::size_t slots, class Step>
__global__ void move(const RangeStep<Step>* ranges, int count, std::int64_t chunks, const double* scale,
                     const double* loss, float* values, const float* gradients, float* state,
                     std::int64_t stride) {
  if (loss != nullptr && !std::isfinite(*loss)) return;
  const float factor = scale == nullptr ? 1.0F : static_cast<float>(*scale);
  for (std::int64_t number = blockIdx.x; number < chunks; number += gridDim.x) {
    const RangeStep<Step> range = range_of(ranges, count, number);
    for_chunk(range.place, number, [&](std::int64_t i) {
      std::array<float, slots> now{};
      for (std::int64_t slot = 0; slot < static_cast<std::int64_t>(slots); ++slot)  // signed: there may be none
        now[static_cast<std::size_t>(slot)] = state[slot * stride + i];
      const float value = values[i];
      const float step = range.step(gradients[i] * factor + range.l2 * value, now);
      values[i] = value - (range.decay * value + step);
      for (std::int64_t slot = 0; slot < static_cast<std::int64_t>(slots); ++slot)
        state[slot * stride + i] = now[static_cast<std::size_t>(slot)];
    });
  }
}

template <class Rule>
using StepOf = typename Rule::template Step<float>;

// The table as bytes, and how many chunks it has.
template <class Rule>
std::int64_t write_table(const Rule& rule, std::int64_t step, const UpdateRequest& request,
                         std::vector<std::byte>& bytes) {
  static_assert(std::is_trivially_copyable_v<RangeStep<StepOf<Rule>>>);
  bytes.resize(sizeof(Header) + request.ranges.size() * sizeof(RangeStep<StepOf<Rule>>));
  const Header header{request.clip_norm};
  std::memcpy(bytes.data(), &header, sizeof header);
  std::byte* to = bytes.data() + sizeof header;
  std::int64_t chunks = 0;
  for (const UpdateRange& range : request.ranges) {
    const double rate = request.learning_rate * range.rate_factor;
    const double decay = request.weight_decay * range.weight_decay_factor;
    const bool decoupled = request.decay == Decay::decoupled;
    const RangeStep<StepOf<Rule>> one{
        {static_cast<std::int64_t>(range.begin), static_cast<std::int64_t>(range.end), chunks},
        static_cast<float>(decoupled ? 0 : decay),
        static_cast<float>(decoupled ? rate * decay : 0),
        StepOf<Rule>(rule, UpdateMoment{rate, step})};
    std::memcpy(to, &one, sizeof one);
    to += sizeof one;
    chunks += (static_cast<std::int64_t>(range.end - range.begin) + chunk - 1) / chunk;
  }
  return chunks;
}

// f(a rule of the optimizer's type).
template <class Function>
void with_rule(std::size_t index, const Function& f) {
  const auto try_rule = [&]<std::size_t which>(std::integral_constant<std::size_t, which> /*rule*/) {
    if (which == index) f(std::variant_alternative_t<which, Optimizer>{});
  };
  [&]<std::size_t... which>(std::index_sequence<which...> /*all*/) {
    (try_rule(std::integral_constant<std::size_t, which>{}), ...);
  }
  (std::make_index_sequence<std::variant_size_v<Optimizer>>{});
}

}  // namespace

CudaUpdate::CudaUpdate(const CudaContext& context)
    : context_(context), partials_((parts + 1) * sizeof(double)) {}

CudaUpdateKey CudaUpdate::prepare(ParameterStore& store, OptimizerState& state, const UpdateRequest& request) {
  ++state.step;
  prepared_ = {
      request.optimizer.index(), request.ranges.size(), 0,      request.clip_norm > 0, store.values().data(),
      store.gradients().data(),  state.values().data(), nullptr};
  stride_ = static_cast<std::int64_t>(store.layout().trained_elements);
  std::visit([&](const auto& rule) { prepared_.chunks = write_table(rule, state.step, request, letter_); },
             request.optimizer);
  if (table_.bytes() < letter_.size()) {
    table_ = DeviceBytes(letter_.size());
    posted_.clear();
  }
  prepared_.table = table_.as();
  if (letter_ != posted_) {  // of rules without a memory only the rate changes
    post(context_, table_.as(), letter_);
    posted_ = letter_;
  }
  return prepared_;
}

void CudaUpdate::enqueue(const double* loss_sum) const {
  if (prepared_.chunks == 0) return;
  with_rule(prepared_.rule, [&]<class Rule>(const Rule& /*rule*/) {
    const auto* const header = table_.as<const Header>();
    const auto* const ranges = reinterpret_cast<const RangeStep<StepOf<Rule>>*>(header + 1);
    const auto count = static_cast<int>(prepared_.ranges);
    const auto* const gradients = static_cast<const float*>(prepared_.gradients);
    auto* const sums = partials_.as<double>();
    if (prepared_.clips) {
      launch(context_, "norm of the gradients", {parts, threads}, square<StepOf<Rule>>, ranges, count,
             prepared_.chunks, gradients, sums);
      launch(context_, "scale of the gradients", {1, parts}, find_scale, header, sums);
    }
    auto* const values = static_cast<float*>(prepared_.values);
    auto* const state = static_cast<float*>(prepared_.state);
    launch(context_, "update", grid_for(context_, prepared_.chunks * threads, threads),
           move<Rule::slots, StepOf<Rule>>, ranges, count, prepared_.chunks,
           static_cast<const double*>(prepared_.clips ? sums + parts : nullptr), loss_sum, values, gradients,
           state, stride_);
  });
}

}  // namespace descent
