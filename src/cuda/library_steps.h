// What stands between our tensors and the libraries': small passes of our own. Kernels: library_steps.cu.
#pragma once

#include "cuda/context.h"
#include "descent/tensor.h"
#include "plan/relu_rule.h"

#include <cstddef>
#include <cstdint>

namespace descent {

// Weights O×I×H×W of f32, as the parameters lie; cuDNN's are O×H×W×I.
struct WeightOrder {
  int out = 1;
  int in = 1;  // a group
  int taps = 1;
  int padded = in;  // input channels there: those behind `in` are zeros

  [[nodiscard]] constexpr std::int64_t elements() const { return std::int64_t{out} * in * taps; }
  [[nodiscard]] constexpr std::int64_t padded_elements() const { return std::int64_t{out} * padded * taps; }
};

// What follows a product a channel: its bias, and for answers batch normalisation by its running statistics,
// which goes into the weights. Null where there is none; the last four all or none.
struct ChannelParameters {
  const float* bias = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
  const float* mean = nullptr;
  const float* variance = nullptr;
  double eps = 0;
};

// `to`: elements of `type`. `shifts` (may be null): what is left to add, one a channel.
void derive_weights(const CudaContext& context, const WeightOrder& order, const float* weights,
                    const ChannelParameters& parameters, DType type, void* to, float* shifts);

// The gradient back into the parameters' order.
void restore_gradient(const CudaContext& context, const WeightOrder& order, DType type, const void* from,
                      float* to);

// Channels-last pictures with zeros behind their channels.
void pad_channels(const CudaContext& context, DType type, std::int64_t cells, int channels, int padded,
                  const void* from, void* to);

// Rows of channels, in place: y = activation(y + shifts + add), as far as the pointers are not null.
struct RowEnding {
  const float* shifts = nullptr;
  const void* add = nullptr;  // of y's type
  ReluRule activation{GeneralRelu{.leak = 1}};
};
void end_rows(const CudaContext& context, DType type, std::int64_t rows, int channels, const RowEnding& ending,
              void* y);

// Σ over rows of each channel, in an order that depends on the shape alone.
[[nodiscard]] std::size_t channel_total_bytes(std::int64_t rows, std::int64_t channels);  // of scratch
void channel_totals(const CudaContext& context, DType type, const void* values, std::int64_t rows,
                    std::int64_t channels, float* to, void* scratch);

// `count` zeros.
void clear(const CudaContext& context, float* to, std::int64_t count);

}  // namespace descent
