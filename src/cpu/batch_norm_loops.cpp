// Batch normalisation in two passes each way: sums over the batch, then one multiplication and addition an
// element. Bound by memory: forward reads x twice and writes y (12 bytes an element), backward reads x and
// dy twice and writes dx (20 bytes). Sums are in double, so that the variance may come from Σx and Σx² in
// one pass: the squares of f32 are exact there.
#include "cpu/blocking.h"
#include "cpu/loop_kernel.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

#include <algorithm>
#include <cmath>

namespace descent {
namespace {

constexpr std::int64_t most_parts = 16;  // the batch is summed in so many parts, whatever the threads

struct Sums {
  double* first;
  double* second;
};

// Adds Σa and Σa·b of one stretch of one slice: to one channel (inner 1) or to `inner` of them.
DESCENT_CLONES void add_sums(const float* a, const float* b, std::int64_t cells, std::int64_t inner, Sums to) {
  if (inner == 1) {
    double first = 0;
    double second = 0;
#pragma omp simd reduction(+ : first, second)
    for (std::int64_t i = 0; i < cells; ++i) {
      first += static_cast<double>(a[i]);
      second += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    }
    *to.first += first;
    *to.second += second;
    return;
  }
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    const float* const from_a = a + cell * inner;
    const float* const from_b = b + cell * inner;
#pragma omp simd
    for (std::int64_t i = 0; i < inner; ++i) {
      to.first[i] += static_cast<double>(from_a[i]);
      to.second[i] += static_cast<double>(from_a[i]) * static_cast<double>(from_b[i]);
    }
  }
}

// One number a channel each: y = (x − centre)·slope + shift, dx = (x − centre)·slope + dy·gain + shift.
struct Coefficients {
  float* centre;
  float* slope;
  float* shift;
  float* gain;
};

DESCENT_CLONES void normalise(const float* x, float* y, std::int64_t cells, std::int64_t inner,
                              Coefficients by) {
  if (inner == 1) {
    const float centre = *by.centre;
    const float slope = *by.slope;
    const float shift = *by.shift;
#pragma omp simd
    for (std::int64_t i = 0; i < cells; ++i) y[i] = (x[i] - centre) * slope + shift;
    return;
  }
  for (std::int64_t cell = 0; cell < cells; ++cell, x += inner, y += inner) {
#pragma omp simd
    for (std::int64_t i = 0; i < inner; ++i) y[i] = (x[i] - by.centre[i]) * by.slope[i] + by.shift[i];
  }
}

DESCENT_CLONES void input_gradients(const float* x, const float* dy, float* dx, std::int64_t cells,
                                    std::int64_t inner, Coefficients by) {
  if (inner == 1) {
    const float centre = *by.centre;
    const float slope = *by.slope;
    const float shift = *by.shift;
    const float gain = *by.gain;
#pragma omp simd
    for (std::int64_t i = 0; i < cells; ++i) dx[i] = (x[i] - centre) * slope + (dy[i] * gain + shift);
    return;
  }
  for (std::int64_t cell = 0; cell < cells; ++cell, x += inner, dy += inner, dx += inner) {
#pragma omp simd
    for (std::int64_t i = 0; i < inner; ++i) {
      dx[i] = (x[i] - by.centre[i]) * by.slope[i] + (dy[i] * by.gain[i] + by.shift[i]);
    }
  }
}

class BatchNormKernel : public LoopKernel {
 public:
  BatchNormKernel(const KernelRequest& request, Layout layout, const CpuContext& context)
      : op_(std::get<BatchNorm>(request.unit.first().op)),
        blocking_(Blocking(request.inputs[0].shape, layout).with_lanes_as_cells(layout).with_widest_inner()),
        parts_(std::min(blocking_.pictures, most_parts)),
        trains_(trains(request)),
        threads_(context.threads) {
    needs_.inputs = {layout};
    needs_.output = layout;
    const auto elements = static_cast<double>(request.output.shape.elements());
    const auto channels = static_cast<std::size_t>(blocking_.channels());
    needs_.scratch_bytes = 4 * channels * sizeof(float);
    if (!trains_) {
      needs_.output_is_input = request.input_is_free;
      forward_report_ = report(request, "forward", layout, 3 * elements, 8 * elements);
      return;
    }
    needs_.scratch_bytes += 2 * static_cast<std::size_t>(parts_) * channels * sizeof(double);
    needs_.saved_bytes = 2 * channels * sizeof(double);
    needs_.backward_reads_inputs = true;
    forward_report_ = report(request, "forward", layout, 6 * elements, 12 * elements);
    backward_report_ = report(request, "backward", layout, 8 * elements, 20 * elements);
  }

  void forward(const StepContext& /*context*/) override {
    const float* const scale = tensor(bound_.parameters, 0);
    const float* const shift = tensor(bound_.parameters, 1);
    float* const running_mean = tensor(bound_.statistics, 0);
    float* const running_variance = tensor(bound_.statistics, 1);
    if (trains_) batch_statistics(running_mean, running_variance);
    const Coefficients by = coefficients();
    for (std::int64_t c = 0; c < blocking_.channels(); ++c) {
      const double mean = trains_ ? saved_mean()[c] : static_cast<double>(running_mean[c]);
      const double deviation =
          trains_ ? saved_factor()[c] : 1 / std::sqrt(static_cast<double>(running_variance[c]) + op_.eps);
      const double slope = static_cast<double>(scale[c]) * deviation;
      by.centre[c] = static_cast<float>(mean);
      by.slope[c] = static_cast<float>(slope);
      // What rounding the mean to f32 loses is made up for here.
      by.shift[c] = static_cast<float>(static_cast<double>(shift[c]) +
                                       (static_cast<double>(by.centre[c]) - mean) * slope);
    }
    for_cells([&, this](std::int64_t offset, std::int64_t channel, std::int64_t cells) {
      normalise(input() + offset, output() + offset, cells, blocking_.inner, at_channel(by, channel));
    });
  }

  // dx = γ/(n·σ) · (n·dy − Σdy − x̂·Σ(dy·x̂))
  void backward(const StepContext& /*context*/) override {
    sum(output_gradient(), input());
    const float* const scale = tensor(bound_.parameters, 0);
    float* const scale_gradient = tensor(bound_.parameter_gradients, 0);
    float* const shift_gradient = tensor(bound_.parameter_gradients, 1);
    const auto count = static_cast<double>(blocking_.pictures * blocking_.cells());
    const Coefficients by = coefficients();
    for (std::int64_t c = 0; c < blocking_.channels(); ++c) {
      const double mean = saved_mean()[c];
      const double factor = saved_factor()[c];
      const double total = total_of(first_sums(), c);
      const double projection = (total_of(second_sums(), c) - mean * total) * factor;  // Σ dy·x̂
      if (scale_gradient != nullptr) scale_gradient[c] = static_cast<float>(projection);
      if (shift_gradient != nullptr) shift_gradient[c] = static_cast<float>(total);
      const double gain = static_cast<double>(scale[c]) * factor;
      const double slope = -gain * factor * projection / count;
      by.centre[c] = static_cast<float>(mean);
      by.gain[c] = static_cast<float>(gain);
      by.slope[c] = static_cast<float>(slope);
      by.shift[c] =
          static_cast<float>(-gain * total / count + (static_cast<double>(by.centre[c]) - mean) * slope);
    }
    if (input_gradient() == nullptr) return;
    for_cells([&, this](std::int64_t offset, std::int64_t channel, std::int64_t cells) {
      input_gradients(input() + offset, output_gradient() + offset, input_gradient() + offset, cells,
                      blocking_.inner, at_channel(by, channel));
    });
  }

 private:
  // Mean and 1/σ of each channel into the saved memory; moves the running statistics.
  void batch_statistics(float* running_mean, float* running_variance) const {
    sum(input(), input());
    const auto count = static_cast<double>(blocking_.pictures * blocking_.cells());
    const double unbiased = count / std::max(count - 1, 1.0);
    const auto move = [this](float& running, double value) {
      running = static_cast<float>((1 - op_.momentum) * static_cast<double>(running) + op_.momentum * value);
    };
    for (std::int64_t c = 0; c < blocking_.channels(); ++c) {
      const double mean = total_of(first_sums(), c) / count;
      const double raw = total_of(second_sums(), c) / count - mean * mean;
      const double variance = raw < 0 ? 0 : raw;  // keeps what is not a number
      saved_mean()[c] = mean;
      saved_factor()[c] = 1 / std::sqrt(variance + op_.eps);
      move(running_mean[c], mean);
      move(running_variance[c], variance * unbiased);
    }
  }

  // Σa and Σa·b of every channel, in parts_ parts of the batch.
  void sum(const float* a, const float* b) const {
    const std::int64_t slice = blocking_.cells() * blocking_.inner;
    const std::int64_t per_part = (blocking_.pictures - 1) / parts_ + 1;
    const std::int64_t grain = std::max<std::int64_t>(1, 4096 / (slice * per_part));
    parallel_for(threads_, parts_ * blocking_.groups, grain, [&, this](std::int64_t begin, std::int64_t end) {
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t part = item / blocking_.groups;
        const std::int64_t group = item % blocking_.groups;
        const std::int64_t first = part * blocking_.channels() + group * blocking_.inner;
        const Sums to{first_sums() + first, second_sums() + first};
        std::fill_n(to.first, blocking_.inner, 0.0);
        std::fill_n(to.second, blocking_.inner, 0.0);
        const std::int64_t last_picture = blocking_.pictures * (part + 1) / parts_;
        for (std::int64_t n = blocking_.pictures * part / parts_; n < last_picture; ++n) {
          const std::int64_t offset = (n * blocking_.groups + group) * slice;
          add_sums(a + offset, b + offset, blocking_.cells(), blocking_.inner, to);
        }
      }
    });
  }

  [[nodiscard]] double total_of(const double* sums, std::int64_t channel) const {
    double total = 0;
    for (std::int64_t part = 0; part < parts_; ++part) total += sums[part * blocking_.channels() + channel];
    return total;
  }

  // Calls f(offset, first channel, cells) for stretches of cells of one slice each.
  template <class Function>
  void for_cells(Function&& f) const {
    const std::int64_t cells = blocking_.cells();
    const std::int64_t grain = std::max<std::int64_t>(1, 4096 / blocking_.inner);
    parallel_for(threads_, blocking_.slices() * cells, grain, [&, this](std::int64_t begin, std::int64_t end) {
      while (begin < end) {
        const std::int64_t slice = begin / cells;
        const std::int64_t stop = std::min(end, (slice + 1) * cells);
        f(begin * blocking_.inner, slice % blocking_.groups * blocking_.inner, stop - begin);
        begin = stop;
      }
    });
  }

  [[nodiscard]] double* saved_mean() const { return static_cast<double*>(bound_.saved); }
  [[nodiscard]] double* saved_factor() const { return saved_mean() + blocking_.channels(); }  // 1/σ
  // Scratch: the sums' parts, in training, then the coefficients.
  [[nodiscard]] double* first_sums() const { return static_cast<double*>(bound_.scratch); }
  [[nodiscard]] double* second_sums() const { return first_sums() + parts_ * blocking_.channels(); }
  [[nodiscard]] Coefficients coefficients() const {
    auto* const begin = reinterpret_cast<float*>(trains_ ? second_sums() + parts_ * blocking_.channels()
                                                         : static_cast<double*>(bound_.scratch));
    const std::int64_t channels = blocking_.channels();
    return {begin, begin + channels, begin + 2 * channels, begin + 3 * channels};
  }
  [[nodiscard]] static Coefficients at_channel(Coefficients by, std::int64_t channel) {
    return {by.centre + channel, by.slope + channel, by.shift + channel, by.gain + channel};
  }

  BatchNorm op_;
  Blocking blocking_;
  std::int64_t parts_;
  bool trains_;
  int threads_;
};

}  // namespace

std::unique_ptr<Kernel> make_batch_norm_loops(const KernelRequest& request, Layout layout,
                                              const CpuContext& context) {
  return std::make_unique<BatchNormKernel>(request, layout, context);
}

}  // namespace descent
