// What a trained batch normalisation keeps from the sums of its forward to the end of its backward, for the
// kernels that have one.
#pragma once

#include "cuda/counters.h"
#include "cuda/norm_passes.h"
#include "plan/kernel.h"
#include "plan/space.h"

#include <cstddef>

namespace descent {

// Takes its places in what the kernel saves; what it names lies where that kernel is bound.
class NormState {
 public:
  NormState() = default;
  // The scale and the shift stand in the unit's lists from `first_parameter` on.
  NormState(const CudaContext& context, const BatchNorm& op, const NormRows& shape, std::size_t first_parameter,
            Space& saved)
      : op_(op),
        count_(static_cast<double>(shape.rows)),
        first_parameter_(first_parameter),
        counters_(context, shape.counter_bytes()) {
    const auto channels = static_cast<std::size_t>(shape.channels);
    moments_at_ = saved.take(channels * sizeof(ChannelMoments));
    by_at_ = saved.take(channels * sizeof(ChannelForward));
    back_at_ = saved.take(channels * sizeof(ChannelBackward));  // saved: a neighbour may write it
  }

  [[nodiscard]] ChannelForward* by(const Binding& bound) const { return place<ChannelForward>(bound, by_at_); }

  [[nodiscard]] NormStatistics statistics(const Binding& bound) const {
    return {op_,
            count_,
            parameter(bound.parameters, 0),
            parameter(bound.parameters, 1),
            static_cast<float*>(bound.statistics[0]),
            static_cast<float*>(bound.statistics[1]),
            place<ChannelMoments>(bound, moments_at_),
            by(bound)};
  }

  [[nodiscard]] NormGradients gradients(const Binding& bound) const {
    return {count_,
            parameter(bound.parameters, 0),
            place<ChannelMoments>(bound, moments_at_),
            parameter(bound.parameter_gradients, 0),
            parameter(bound.parameter_gradients, 1),
            place<ChannelBackward>(bound, back_at_)};
  }

  // Of a unit that normalises `z`.
  [[nodiscard]] NormHandover handover(const Binding& bound, const void* z, const ReluRule& activation) const {
    return {z, by(bound), activation, bound.output, counters_.data(), gradients(bound)};
  }

  // Σ a channel, with their parts in `partial`: NormRows::partial_bytes().
  [[nodiscard]] PartialSums sums(void* partial) const {
    return {static_cast<ChannelSums*>(partial), counters_.data()};
  }

 private:
  template <class T>
  [[nodiscard]] static T* place(const Binding& bound, std::size_t at) {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound.saved) + at);
  }
  [[nodiscard]] float* parameter(const std::vector<void*>& list, std::size_t number) const {
    const std::size_t at = first_parameter_ + number;
    return at < list.size() ? static_cast<float*>(list[at]) : nullptr;
  }

  BatchNorm op_;
  double count_ = 1;
  std::size_t first_parameter_ = 0;
  std::size_t moments_at_ = 0;
  std::size_t by_at_ = 0;
  std::size_t back_at_ = 0;
  Counters counters_;
};

}  // namespace descent
