// Convolution, batch normalisation and activation in training as one kernel, sixteen pictures to a vector. The
// normalisation, the activation, or both may be missing.
// Idea: what lies between the layers is looked at while it is in the second cache. Forward, the sums for the
// statistics are taken from each block of pictures when it has just been convolved; one pass over memory then
// normalises and activates. Backward, one pass sums what the normalisation needs; then the gradient of the
// convolution's output is made for a few blocks of pictures at a time in memory that never leaves the cache,
// and both of the convolution's gradients are taken from there. Each pass goes through the pictures the other
// way round than the one before, and finds the last ones in cache.
//
// All sums are taken in the same parts and orders as by kernels of one layer: the bits are the same.
//
// Bound: arithmetic in the convolution; around it 12 bytes an output are moved forward and 16 backward, instead
// of 24 and 40 by kernels of one layer. Measured with two threads of a Zen 5 on the four blocks of convnet,
// batch 1024: 3.8 ms forward and backward, kernels of one layer 5.2; arithmetic alone is 2.7 at 500 GFLOP/s,
// padded taps counted. In bf16 all bytes are half as many, and the arithmetic takes half the time.
#include "cpu/lanes_conv.h"
#include "cpu/lanes_norm.h"
#include "cpu/loop_kernel.h"
#include "cpu/norm_sums.h"
#include "cpu/packed_weights.h"
#include "cpu/parallel.h"
#include "plan/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace descent {

namespace {

template <class Operation>
std::optional<Operation> operation_in(const Unit& unit) {
  for (const Layer* layer : unit.layers) {
    if (const auto* op = std::get_if<Operation>(&layer->op)) return *op;
  }
  return {};
}

template <class Element>
class LanesUnitKernel final : public LoopKernel {
 public:
  LanesUnitKernel(const KernelRequest& request, const CpuContext& context)
      : conv_(std::get<Conv>(request.unit.first().op)),
        norm_(operation_in<BatchNorm>(request.unit)),
        problem_(conv_, request.inputs.front().shape, request.output.shape, Kind::pictures),
        forward_(Gather::forward(problem_)),
        // The mean takes away what a bias adds: its gradient is zero.
        weight_gradient_(problem_, conv_.bias && !norm_),
        forward_weights_(forward_),
        slice_(problem_.rows.output * problem_.columns.output * Kind::pictures),
        sums_(problem_.blocks, problem_.out_channels),
        threads_(static_cast<std::size_t>(std::max(context.threads, 1))),
        context_(context) {
    if (const auto relu = operation_in<GeneralRelu>(request.unit)) rule_.emplace(*relu);
    if (wants_gradient(request)) {
      input_gradient_.emplace(Gather::backward(problem_));
      backward_weights_ = PackedWeights<Element>(*input_gradient_);
    }
    ask_for_memory(request);
    report_work(request);
  }

  void refresh() override {
    const float* const weights = tensor(bound_.parameters, 0);
    forward_weights_.pack(forward_, weights);
    if (input_gradient_) backward_weights_.pack(*input_gradient_, weights);
  }

  void forward(const StepContext& /*context*/) override {
    if (norm_) return forward_with_norm();
    forward_.for_sets(context_, [this](std::int64_t first, std::int64_t count, std::int64_t /*slot*/) {
      convolve(first, first + count, [this](std::int64_t n, std::int64_t blocks) {
        const std::int64_t at = n * forward_.y_picture();
        activate_lanes(inner() + at, output<Element>() + at, blocks * forward_.y_picture(), *rule_);
      });
    });
  }

  void backward(const StepContext& /*context*/) override {
    if (norm_) sum_gradients();
    parallel_parts(context_.threads, weight_gradient_.parts(), PartOrder::last_to_first,
                   [this](std::int64_t part, std::int64_t thread) { backward_part(part, thread); });
    weight_gradient_.finish(context_, scratch<float>(partial_at_), tensor(bound_.parameter_gradients, 0),
                            conv_.bias ? tensor(bound_.parameter_gradients, 1) : nullptr);
  }

 private:
  using Kind = LanesElement<Element>;
  using Gather = LanesGather<Element>;

  void ask_for_memory(const KernelRequest& request) {
    needs_.output = Kind::format;
    needs_.inputs = {needs_.output};
    needs_.backward_reads_inputs = true;
    needs_.gradient_over_input = true;
    const auto channels = static_cast<std::size_t>(problem_.out_channels);
    Space saved;
    inner_at_ = saved.take(request.output.bytes());
    moments_at_ = saved.take(channels * sizeof(ChannelMoments));
    by_at_ = saved.take(channels * sizeof(ChannelForward));
    needs_.saved_bytes = saved.bytes();

    // The gradients of pictures in a stretch are not a power of two apart: their lines share no places in
    // cache.
    gradient_picture_ = problem_.out_channels * slice_ + Kind::pictures;
    gradient_bytes_ =
        static_cast<std::size_t>(gradient_picture_ * weight_gradient_.stretch()) * sizeof(Element);
    Space scratch;
    sums_at_ = scratch.take(sums_.bytes());
    back_at_ = scratch.take(channels * sizeof(ChannelBackward));
    partial_at_ = scratch.take(static_cast<std::size_t>(weight_gradient_.scratch()) * sizeof(float));
    gradient_at_ = scratch.take(threads_ * gradient_bytes_);
    needs_.scratch_bytes = scratch.bytes();
  }

  void report_work(const KernelRequest& request) {
    const auto outputs = static_cast<double>(request.output.shape.elements());
    const std::int64_t products = problem_.in_channels * problem_.taps();  // of an output
    const double flops = 2.0 * static_cast<double>(products) * outputs;
    const auto input_bytes = static_cast<double>(request.inputs.front().bytes());
    const auto output_bytes = static_cast<double>(request.output.bytes());
    const std::string after = fmt::format("{}{}", norm_ ? ", norm" : "", rule_ ? ", activation" : "");
    // The sums read what is in cache.
    forward_report_ = report(request, "forward" + after, Kind::format.layout, flops,
                             input_bytes + (norm_ ? 3 : 2) * output_bytes);
    backward_report_ =
        report(request, (input_gradient_ ? "backward weights, data" : "backward weights") + after,
               Kind::format.layout, (input_gradient_ ? 2 : 1) * flops,
               (input_gradient_ ? 2 : 1) * input_bytes + (norm_ ? 4 : 2) * output_bytes);
  }

  // Calls f(first block, blocks) for blocks [begin, end), when they have just been convolved.
  template <class Function>
  void convolve(std::int64_t begin, std::int64_t end, Function&& f) const {
    for (std::int64_t n = begin; n < end; n += forward_.together()) {
      const std::int64_t blocks = std::min(forward_.together(), end - n);
      forward_.run(input<Element>() + n * forward_.x_picture(), forward_.x_picture(), forward_weights_.data(),
                   conv_.bias ? tensor(bound_.parameters, 1) : nullptr, inner() + n * forward_.y_picture(),
                   blocks);
      f(n, blocks);
    }
  }

  // Calls f(offset, channel) for the slices of blocks [begin, end).
  template <class Function>
  void for_slices(std::int64_t begin, std::int64_t end, Function&& f) const {
    for (std::int64_t n = begin; n < end; ++n) {
      for (std::int64_t c = 0; c < problem_.out_channels; ++c) f((n * problem_.out_channels + c) * slice_, c);
    }
  }

  void forward_with_norm() const {
    auto* const sums = scratch<double>(sums_at_);
    parallel_parts(context_.threads, sums_.parts(), PartOrder::first_to_last,
                   [&, this](std::int64_t part, std::int64_t /*thread*/) {
                     const NormSums::Part of_part = sums_.part(sums, part);
                     of_part.clear(0, problem_.out_channels);
                     convolve(sums_.first_block(part), sums_.first_block(part + 1),
                              [&](std::int64_t n, std::int64_t blocks) {
                                for_slices(n, n + blocks, [&](std::int64_t offset, std::int64_t c) {
                                  of_part.add(c, lanes_sums(inner() + offset, inner() + offset, slice_));
                                });
                              });
                   });
    const std::size_t first = conv_.bias ? 2 : 1;
    auto* const by = saved<ChannelForward>(by_at_);
    for (std::int64_t c = 0; c < problem_.out_channels; ++c) {
      const RunningMoments running{static_cast<float*>(bound_.statistics[0]) + c,
                                   static_cast<float*>(bound_.statistics[1]) + c};
      const ChannelMoments moments = batch_moments(*norm_, sums_.total(sums, c), count(), running);
      saved<ChannelMoments>(moments_at_)[c] = moments;
      by[c] = channel_forward(moments, tensor(bound_.parameters, first)[c],
                              tensor(bound_.parameters, first + 1)[c]);
    }
    parallel_parts(context_.threads, problem_.blocks, PartOrder::last_to_first,
                   [&, this](std::int64_t n, std::int64_t /*thread*/) {
                     for_slices(n, n + 1, [&](std::int64_t offset, std::int64_t c) {
                       normalise_lanes(inner() + offset, output<Element>() + offset, slice_, by[c], rule());
                     });
                   });
  }

  void sum_gradients() const {
    auto* const sums = scratch<double>(sums_at_);
    const auto* const by = saved<ChannelForward>(by_at_);
    parallel_parts(
        context_.threads, sums_.parts(), PartOrder::first_to_last,
        [&, this](std::int64_t part, std::int64_t /*thread*/) {
          const NormSums::Part of_part = sums_.part(sums, part);
          of_part.clear(0, problem_.out_channels);
          for_slices(sums_.first_block(part), sums_.first_block(part + 1),
                     [&](std::int64_t offset, std::int64_t c) {
                       of_part.add(c, lanes_gradient_sums(inner() + offset, output_gradient<Element>() + offset,
                                                          slice_, by[c], rule()));
                     });
        });
    const std::size_t first = conv_.bias ? 2 : 1;
    for (std::int64_t c = 0; c < problem_.out_channels; ++c) {
      const ChannelMoments& moments = saved<ChannelMoments>(moments_at_)[c];
      const AffineGradient gradient = affine_gradient(moments, sums_.total(sums, c));
      tensor(bound_.parameter_gradients, first)[c] = static_cast<float>(gradient.scale);
      tensor(bound_.parameter_gradients, first + 1)[c] = static_cast<float>(gradient.shift);
      scratch<ChannelBackward>(back_at_)[c] =
          channel_backward(moments, gradient, tensor(bound_.parameters, first)[c], count());
    }
  }

  // The convolution's output gradient of block `n`.
  void make_gradient(std::int64_t n, Element* to) const {
    const std::int64_t picture = n * problem_.out_channels * slice_;
    if (!norm_) {
      lanes_activation_gradient(inner() + picture, output_gradient<Element>() + picture, to,
                                problem_.out_channels * slice_, *rule_);
      return;
    }
    for_slices(n, n + 1, [&, this](std::int64_t offset, std::int64_t c) {
      lanes_gradient(inner() + offset, output_gradient<Element>() + offset, to + offset - picture, slice_,
                     saved<ChannelForward>(by_at_)[c], scratch<ChannelBackward>(back_at_)[c], rule());
    });
  }

  void backward_part(std::int64_t part, std::int64_t thread) const {
    auto* const gradient = scratch<Element>(gradient_at_ + static_cast<std::size_t>(thread) * gradient_bytes_);
    float* const partial = scratch<float>(partial_at_) + part * weight_gradient_.partial();
    weight_gradient_.clear(partial);
    weight_gradient_.for_stretches(part, [&, this](std::int64_t n, std::int64_t blocks) {
      for (std::int64_t i = 0; i < blocks; ++i) make_gradient(n + i, gradient + i * gradient_picture_);
      weight_gradient_.add(input<Element>() + n * forward_.x_picture(), gradient, gradient_picture_, blocks,
                           partial);
      if (!input_gradient_) return;
      input_gradient_->run(gradient, gradient_picture_, backward_weights_.data(), nullptr,
                           input_gradient<Element>() + n * input_gradient_->y_picture(), blocks);
    });
  }

  template <class T>
  [[nodiscard]] T* saved(std::size_t offset) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.saved) + offset);
  }
  template <class T>
  [[nodiscard]] T* scratch(std::size_t offset) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.scratch) + offset);
  }
  [[nodiscard]] Element* inner() const { return saved<Element>(inner_at_); }  // what the convolution wrote
  [[nodiscard]] const ReluRule* rule() const { return rule_ ? &*rule_ : nullptr; }
  [[nodiscard]] double count() const { return static_cast<double>(problem_.blocks * slice_); }  // a channel

  Conv conv_;
  std::optional<BatchNorm> norm_;
  std::optional<ReluRule> rule_;
  LanesProblem problem_;
  Gather forward_;
  std::optional<Gather> input_gradient_;
  LanesWeightGradient<Element> weight_gradient_;
  PackedWeights<Element> forward_weights_;
  PackedWeights<Element> backward_weights_;
  std::int64_t slice_;  // elements of one channel of a vector of pictures
  NormSums sums_;
  std::size_t threads_;
  CpuContext context_;
  std::int64_t gradient_picture_ = 0;
  std::size_t gradient_bytes_ = 0;
  std::size_t inner_at_ = 0, moments_at_ = 0, by_at_ = 0;
  std::size_t sums_at_ = 0, back_at_ = 0, partial_at_ = 0, gradient_at_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_lanes_unit(const KernelRequest& request, const CpuContext& context) {
  if (request.output.type == DType::bf16) return std::make_unique<LanesUnitKernel<Bf16>>(request, context);
  return std::make_unique<LanesUnitKernel<float>>(request, context);
}

}  // namespace descent
