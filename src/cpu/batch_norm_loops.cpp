// Batch normalisation in two passes each way, with or without the activation behind it: sums over the batch,
// then some multiplications and additions an element. Bound by memory: forward reads x twice and writes y (12
// bytes an element), backward reads x and dy twice and writes dx (20 bytes); an activation adds no byte,
// because backward computes again what it was given. Sums are in double, so that the variance may come from Σx
// and Σx² in one pass: the squares of f32 are exact there. Measured with two threads of a Zen 4, counting those
// bytes: 25.7 MB maps forward 33 GB/s, backward 32, 0.57 and 0.56 of a copy of as many in memory; 6.4 MB maps
// 61 and 69, 0.65 and 0.73. With sixteen pictures innermost (`descent bench --kernels own --batch 32 --model
// tools/networks/norms.toml`) 25.7 MB maps take 50 to 69 GB/s forward, 48 to 62 backward.
#include "cpu/blocking.h"
#include "cpu/lanes_norm.h"
#include "cpu/loop_kernel.h"
#include "cpu/norm_sums.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "plan/element.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace descent {
namespace {

// One number a channel each: y = (x − centre)·slope + shift. The loops below read them field by field: GCC does
// not vectorise what comes as a struct from a function.
struct Forward {
  float *centre, *slope, *shift;
};

// dx = (x − centre)·slope + (dy·gain + shift)
struct Backward {
  float *gain, *slope, *shift;
};

template <class Coefficients>
Coefficients from_channel(const Coefficients& of, std::int64_t channel) {
  const auto& [first, second, third] = of;
  return {first + channel, second + channel, third + channel};
}

template <class Coefficients, class Channel>
void set_channel(const Coefficients& of, std::int64_t channel, const Channel& by) {
  const auto& [first, second, third] = of;
  const auto& [one, two, three] = by;
  first[channel] = one;
  second[channel] = two;
  third[channel] = three;
}

// The first channel's.
ChannelForward one_of(const Forward& by) {
  return {*by.centre, *by.slope, *by.shift};
}

ChannelBackward one_of(const Backward& by) {
  return {*by.gain, *by.slope, *by.shift};
}

// Adds Σx and Σx² of one stretch of one slice: to one channel (inner 1) or to `inner` of them.
template <class Element>
DESCENT_CLONES void add_sums(const Element* x, std::int64_t cells, std::int64_t inner, NormSums::Part to) {
  if (inner == 1) {
    double first = 0;
    double second = 0;
#pragma omp simd reduction(+ : first, second)
    for (std::int64_t i = 0; i < cells; ++i) {
      const auto value = static_cast<double>(to_f32(x[i]));
      first += value;
      second += value * value;
    }
    return to.add(0, {first, second});
  }
  for (std::int64_t cell = 0; cell < cells; ++cell, x += inner) {
#pragma omp simd
    for (std::int64_t i = 0; i < inner; ++i) {
      const auto value = static_cast<double>(to_f32(x[i]));
      to.first[i] += value;
      to.second[i] += value * value;
    }
  }
}

// Adds Σg and Σg·x, where g is dy through the activation.
template <class Element, class Rule>
DESCENT_CLONES void add_gradient_sums(const Element* x, const Element* dy, std::int64_t cells,
                                      std::int64_t inner, Forward by, Rule rule, NormSums::Part to) {
  if (inner == 1) {
    const ChannelForward one = one_of(by);
    double first = 0;
    double second = 0;
#pragma omp simd reduction(+ : first, second)
    for (std::int64_t i = 0; i < cells; ++i) {
      const auto g = static_cast<double>(rule.gradient(normalised(one, to_f32(x[i])), to_f32(dy[i])));
      first += g;
      second += g * static_cast<double>(to_f32(x[i]));
    }
    return to.add(0, {first, second});
  }
  for (std::int64_t cell = 0; cell < cells; ++cell, x += inner, dy += inner) {
#pragma omp simd
    for (std::int64_t i = 0; i < inner; ++i) {
      const ChannelForward one{by.centre[i], by.slope[i], by.shift[i]};
      const auto g = static_cast<double>(rule.gradient(normalised(one, to_f32(x[i])), to_f32(dy[i])));
      to.first[i] += g;
      to.second[i] += g * static_cast<double>(to_f32(x[i]));
    }
  }
}

template <class Element, class Rule>
DESCENT_CLONES void normalise(const Element* x, Element* y, std::int64_t cells, std::int64_t inner, Forward by,
                              Rule rule) {
  if (inner == 1) {
    const ChannelForward one = one_of(by);
#pragma omp simd
    for (std::int64_t i = 0; i < cells; ++i)
      y[i] = to_element<Element>(rule.value(normalised(one, to_f32(x[i]))));
    return;
  }
  for (std::int64_t cell = 0; cell < cells; ++cell, x += inner, y += inner) {
#pragma omp simd
    for (std::int64_t i = 0; i < inner; ++i) {
      const ChannelForward one{by.centre[i], by.slope[i], by.shift[i]};
      y[i] = to_element<Element>(rule.value(normalised(one, to_f32(x[i]))));
    }
  }
}

template <class Element, class Rule>
DESCENT_CLONES void input_gradients(const Element* x, const Element* dy, Element* dx, std::int64_t cells,
                                    std::int64_t inner, Forward by, Backward back, Rule rule) {
  if (inner == 1) {
    const ChannelForward one = one_of(by);
    const ChannelBackward one_back = one_of(back);
#pragma omp simd
    for (std::int64_t i = 0; i < cells; ++i) {
      const float g = rule.gradient(normalised(one, to_f32(x[i])), to_f32(dy[i]));
      dx[i] = to_element<Element>(norm_gradient(one, one_back, to_f32(x[i]), g));
    }
    return;
  }
  for (std::int64_t cell = 0; cell < cells; ++cell, x += inner, dy += inner, dx += inner) {
#pragma omp simd
    for (std::int64_t i = 0; i < inner; ++i) {
      const ChannelForward one{by.centre[i], by.slope[i], by.shift[i]};
      const float g = rule.gradient(normalised(one, to_f32(x[i])), to_f32(dy[i]));
      const ChannelBackward one_back{back.gain[i], back.slope[i], back.shift[i]};
      dx[i] = to_element<Element>(norm_gradient(one, one_back, to_f32(x[i]), g));
    }
  }
}

template <class Element>
class BatchNormKernel : public LoopKernel {
 public:
  BatchNormKernel(const KernelRequest& request, Layout layout, const CpuContext& context)
      : op_(std::get<BatchNorm>(request.unit.first().op)),
        blocking_(Blocking(request.inputs[0].shape, layout).with_lanes_as_cells(layout).with_widest_inner()),
        lanes_(has_pictures_innermost(layout)),
        sums_(blocking_.pictures, blocking_.channels()),
        trains_(trains(request)),
        threads_(context.threads) {
    if (request.unit.layers.size() > 1) rule_.emplace(std::get<GeneralRelu>(request.unit.last().op));
    needs_.output = {request.output.type, layout};
    needs_.inputs = {needs_.output};
    const auto elements = static_cast<double>(request.output.shape.elements());
    const auto bytes = static_cast<double>(request.output.bytes());
    const auto channels = static_cast<std::size_t>(blocking_.channels());
    const std::string after = rule_ ? ", activation" : "";
    if (!trains_) {
      needs_.scratch_bytes = 3 * channels * sizeof(float);
      needs_.output_is_input = request.input_is_free;
      forward_report_ = report(request, "forward" + after, layout, 3 * elements, 2 * bytes);
      return;
    }
    needs_.scratch_bytes = sums_.bytes() + 3 * channels * sizeof(float);
    needs_.saved_bytes = channels * (sizeof(ChannelMoments) + 3 * sizeof(float));
    needs_.backward_reads_inputs = true;
    forward_report_ = report(request, "forward" + after, layout, 6 * elements, 3 * bytes);
    backward_report_ = report(request, "backward" + after, layout, 8 * elements, 5 * bytes);
  }

  void forward(const StepContext& /*context*/) override {
    const float* const scale = tensor(bound_.parameters, 0);
    const float* const shift = tensor(bound_.parameters, 1);
    const Forward by = forward_coefficients();
    if (trains_) sum_inputs();
    for (std::int64_t c = 0; c < blocking_.channels(); ++c) {
      const RunningMoments running{static_cast<float*>(bound_.statistics[0]) + c,
                                   static_cast<float*>(bound_.statistics[1]) + c};
      const ChannelMoments moments = trains_ ? batch_moments(op_, sums_.total(sums(), c), count(), running)
                                             : running_moments(op_, running);
      if (trains_) saved_moments()[c] = moments;
      set_channel(by, c, channel_forward(moments, scale[c], shift[c]));
    }
    for_cells([&, this](std::int64_t offset, std::int64_t channel, std::int64_t cells) {
      const Element* const x = input<Element>() + offset;
      Element* const y = output<Element>() + offset;
      if (lanes_)
        return normalise_lanes(x, y, cells, one_of(from_channel(by, channel)), rule_ ? &*rule_ : nullptr);
      if (rule_) return normalise(x, y, cells, blocking_.inner, from_channel(by, channel), *rule_);
      normalise(x, y, cells, blocking_.inner, from_channel(by, channel), NoActivation{});
    });
  }

  void backward(const StepContext& /*context*/) override {
    sum_gradients();
    const float* const scale = tensor(bound_.parameters, 0);
    float* const scale_gradient = tensor(bound_.parameter_gradients, 0);
    float* const shift_gradient = tensor(bound_.parameter_gradients, 1);
    const Forward by = forward_coefficients();
    const Backward back = backward_coefficients();
    for (std::int64_t c = 0; c < blocking_.channels(); ++c) {
      const ChannelMoments& moments = saved_moments()[c];
      const AffineGradient gradient = affine_gradient(moments, sums_.total(sums(), c));
      if (scale_gradient != nullptr) scale_gradient[c] = static_cast<float>(gradient.scale);
      if (shift_gradient != nullptr) shift_gradient[c] = static_cast<float>(gradient.shift);
      set_channel(back, c, channel_backward(moments, gradient, scale[c], count()));
    }
    if (input_gradient<Element>() == nullptr) return;
    for_cells([&, this](std::int64_t offset, std::int64_t channel, std::int64_t cells) {
      const Element* const x = input<Element>() + offset;
      const Element* const dy = output_gradient<Element>() + offset;
      Element* const dx = input_gradient<Element>() + offset;
      const Forward from = from_channel(by, channel);
      const Backward to = from_channel(back, channel);
      if (lanes_) return lanes_gradient(x, dy, dx, cells, one_of(from), one_of(to), rule_ ? &*rule_ : nullptr);
      if (rule_) return input_gradients(x, dy, dx, cells, blocking_.inner, from, to, *rule_);
      input_gradients(x, dy, dx, cells, blocking_.inner, from, to, NoActivation{});
    });
  }

 private:
  void sum_inputs() const {
    for_parts([this](std::int64_t offset, std::int64_t /*channel*/, NormSums::Part to) {
      const Element* const x = input<Element>() + offset;
      if (lanes_) return to.add(0, lanes_sums(x, x, blocking_.cells()));
      add_sums(x, blocking_.cells(), blocking_.inner, to);
    });
  }

  void sum_gradients() const {
    const Forward by = forward_coefficients();
    for_parts([&, this](std::int64_t offset, std::int64_t channel, NormSums::Part to) {
      const Element* const x = input<Element>() + offset;
      const Element* const dy = output_gradient<Element>() + offset;
      const Forward from = from_channel(by, channel);
      if (lanes_) {
        return to.add(0,
                      lanes_gradient_sums(x, dy, blocking_.cells(), one_of(from), rule_ ? &*rule_ : nullptr));
      }
      if (rule_) return add_gradient_sums(x, dy, blocking_.cells(), blocking_.inner, from, *rule_, to);
      add_gradient_sums(x, dy, blocking_.cells(), blocking_.inner, from, NoActivation{}, to);
    });
  }

  // Calls f(offset, first channel, sums of that channel and those beside it) for every slice, part by part.
  template <class Function>
  void for_parts(Function&& f) const {
    const std::int64_t slice = blocking_.cells() * blocking_.inner;
    const std::int64_t per_part = (blocking_.pictures - 1) / sums_.parts() + 1;
    const std::int64_t grain = std::max<std::int64_t>(1, 4096 / (slice * per_part));
    const std::int64_t items = sums_.parts() * blocking_.groups;
    parallel_for(threads_, items, grain, [&, this](std::int64_t begin, std::int64_t end) {
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t part = item / blocking_.groups;
        const std::int64_t group = item % blocking_.groups;
        const std::int64_t channel = group * blocking_.inner;
        const NormSums::Part all = sums_.part(sums(), part);
        const NormSums::Part to{all.first + channel, all.second + channel};
        to.clear(0, blocking_.inner);
        for (std::int64_t n = sums_.first_block(part); n < sums_.first_block(part + 1); ++n) {
          f((n * blocking_.groups + group) * slice, channel, to);
        }
      }
    });
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

  [[nodiscard]] double count() const { return static_cast<double>(blocking_.pictures * blocking_.cells()); }
  // Saved: moments, then the coefficients of forward. Scratch: sums, then the coefficients of backward.
  [[nodiscard]] ChannelMoments* saved_moments() const { return static_cast<ChannelMoments*>(bound_.saved); }
  [[nodiscard]] double* sums() const { return static_cast<double*>(bound_.scratch); }
  [[nodiscard]] Forward forward_coefficients() const {
    const std::int64_t channels = blocking_.channels();
    auto* const begin =
        trains_ ? reinterpret_cast<float*>(saved_moments() + channels) : static_cast<float*>(bound_.scratch);
    return {begin, begin + channels, begin + 2 * channels};
  }
  [[nodiscard]] Backward backward_coefficients() const {
    const std::int64_t channels = blocking_.channels();
    auto* const begin = reinterpret_cast<float*>(static_cast<std::byte*>(bound_.scratch) + sums_.bytes());
    return {begin, begin + channels, begin + 2 * channels};
  }

  BatchNorm op_;
  std::optional<ReluRule> rule_;
  Blocking blocking_;
  bool lanes_;
  NormSums sums_;
  bool trains_;
  int threads_;
};

}  // namespace

std::unique_ptr<Kernel> make_batch_norm_loops(const KernelRequest& request, Layout layout,
                                              const CpuContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<BatchNormKernel<Element>>(request, layout, context);
  });
}

}  // namespace descent
