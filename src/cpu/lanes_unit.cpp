// Convolution with what follows it, batch normalisation in training and activation, as one kernel, sixteen
// pictures to a vector. The normalisation, the activation, or both may be missing.
// Idea: what lies between the layers is looked at while it is in the second cache. Forward, the sums for the
// statistics are taken from each block of pictures when it has just been convolved; the next convolution
// normalises and activates what it reads, or a pass over memory does. Backward, the sums that the normalisation
// needs are taken by whoever writes the output's gradient, or by a pass; then the gradient of the convolution's
// output is made for a few blocks of pictures at a time in memory that never leaves the cache, and both of the
// convolution's gradients are taken from there (lanes_neighbours.h).
//
// All sums are taken in the same parts and orders as by kernels of one layer: the bits are the same, but for a
// network's first unit where its reader makes its output again (lanes_first.h).
//
// Bound: arithmetic in the convolution; around it, between neighbours, 4 bytes an output and input are moved
// forward and 8 backward, where kernels of one layer move 24 and 40 an output. Measured with two threads of a
// Zen 4, a step of convnet of 1024 in f32: 7.3 ms, 8.1 where each unit does its own passes, 6.9 where the first
// unit's output is made again as well; arithmetic alone is 4.3 at 236 GFLOP/s without padded taps.
#include "cpu/channel_norm.h"
#include "cpu/lanes_conv.h"
#include "cpu/lanes_first.h"
#include "cpu/lanes_neighbours.h"
#include "cpu/lanes_norm.h"
#include "cpu/loop_kernel.h"
#include "cpu/norm_sums.h"
#include "cpu/packed_weights.h"
#include "cpu/parallel.h"
#include "plan/space.h"
#include "plan/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace descent {

namespace {

template <class Element>
class LanesUnitKernel final : public LoopKernel, public LanesNormWriter<Element>, public LanesReader {
  using Kind = LanesElement<Element>;
  using Gather = LanesGather<Element>;
  using Pictures = LanesPictures<Element>;

 public:
  LanesUnitKernel(const KernelRequest& request, const CpuContext& context)
      : conv_(std::get<Conv>(request.unit.first().op)),
        norm_(operation_in<BatchNorm>(request.unit)),
        problem_(conv_, request.inputs.front().shape, request.output.shape, Kind::pictures),
        forward_(Gather::forward(problem_)),
        forward_weights_(forward_),
        slice_(problem_.rows.output * problem_.columns.output * Kind::pictures),
        sums_(problem_.blocks, problem_.out_channels),
        threads_(std::max(context.threads, 1)),
        working_(std::min(threads_, problem_.blocks)),
        context_(context) {
    if (const auto relu = operation_in<GeneralRelu>(request.unit)) rule_.emplace(*relu);
    needs_.output = Kind::format;
    needs_.inputs = {needs_.output};
    if (trains(request)) {
      // The mean takes away what a bias adds: its gradient is zero.
      weight_gradient_.emplace(problem_, conv_.bias && !norm_ && !request.mean_is_removed);
    }
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
    forward_.for_sets(context_, [this](std::int64_t first, std::int64_t blocks, std::int64_t thread) {
      convolve(first, blocks, thread);
    });
    if (!norm_) return;
    find_statistics();
    if (!handed_over_) write_output(output<Element>());
  }

  void backward(const StepContext& /*context*/) override {
    if (norm_) {
      if (!handed_over_) {
        parallel_parts(
            context_.threads, problem_.blocks, PartOrder::first_to_last,
            [this](std::int64_t n, std::int64_t /*thread*/) { take_sums(n, 1, {}, gradient_at(n)); });
      }
      find_gradients();
    }
    if (is_alone() && weight_gradient_->parts() < threads_) return backward_one_by_one();
    parallel_parts(context_.threads, weight_gradient_->parts(), PartOrder::last_to_first,
                   [this](std::int64_t part, std::int64_t thread) { backward_part(part, thread); });
    weight_gradient_->finish(context_, scratch<float>(partial_at_), tensor(bound_.parameter_gradients, 0),
                             conv_.bias ? tensor(bound_.parameter_gradients, 1) : nullptr);
  }

  void complete(void* output) override {
    if (handed_over_) write_output(static_cast<Element*>(output));
  }

  void meet(Kernel& writer) override {
    auto* const lanes_writer = dynamic_cast<LanesNormWriter<Element>*>(&writer);
    if (!input_gradient_ || lanes_writer == nullptr || !lanes_writer->hand_over()) return;
    before_ = lanes_writer;
    needs_.backward_reads_inputs = false;
    needs_.gradient_over_input = false;
    if (const std::optional<LanesWork> more = before_->make_again()) {
      needs_.input_stays_in_cache = true;
      forward_report_.flops += more->forward_flops;
      forward_report_.bytes += more->bytes - input_bytes_;
      backward_report_.flops += more->backward_flops;
      backward_report_.bytes += more->bytes - 2 * input_bytes_;
    }
    source_bytes_ =
        pictures_bytes(source_picture(), std::max(forward_.together(), weight_gradient_->stretch()));
    source_at_ = scratch_.take(threads_bytes(source_bytes_));
    if (needs_.input_stays_in_cache) source_gradient_at_ = scratch_.take(threads_bytes(source_bytes_));
    needs_.scratch_bytes = scratch_.bytes();
  }
  bool hand_over() override {
    if (!norm_) return false;
    handed_over_ = true;
    forward_report_.bytes -= 2 * output_bytes_;
    backward_report_.bytes -= 2 * output_bytes_;
    return true;
  }
  void make_output(std::int64_t first, std::int64_t blocks, Element* to, std::int64_t picture) const override {
    for_slices(first, blocks, [&, this](std::int64_t n, std::int64_t c, std::int64_t offset) {
      normalise_lanes(inner() + offset, to + (n - first) * picture + c * slice_, slice_,
                      saved<ChannelForward>(by_at_)[c], rule());
    });
  }
  void take_sums(std::int64_t first, std::int64_t blocks, const LanesPlaces<Element>& /*output*/,
                 const Pictures& gradient) const override {
    for_slices(first, blocks, [&, this](std::int64_t n, std::int64_t c, std::int64_t offset) {
      const Element* const dy = gradient.first + (n - first) * gradient.step + c * slice_;
      sums_.of(saved<ChannelSums>(sums_at_), n, c) =
          lanes_gradient_sums(inner() + offset, dy, slice_, saved<ChannelForward>(by_at_)[c], rule());
    });
  }

 private:
  void ask_for_memory(const KernelRequest& request) {
    const auto channels = static_cast<std::size_t>(problem_.out_channels);
    Space saved;
    inner_at_ = saved.take(has_inner() ? request.output.bytes() : 0);
    if (norm_) {
      moments_at_ = saved.take(channels * sizeof(ChannelMoments));
      by_at_ = saved.take(channels * sizeof(ChannelForward));
      sums_at_ = saved.take(sums_.bytes());
    }
    needs_.saved_bytes = saved.bytes();
    if (!weight_gradient_) return;
    needs_.backward_reads_inputs = true;
    needs_.gradient_over_input = true;
    if (norm_) back_at_ = scratch_.take(channels * sizeof(ChannelBackward));
    partial_at_ = scratch_.take(static_cast<std::size_t>(weight_gradient_->scratch()) * sizeof(float));
    if (has_inner()) {
      gradient_bytes_ = pictures_bytes(gradient_picture(), weight_gradient_->stretch());
      gradient_at_ = scratch_.take(threads_bytes(gradient_bytes_));
    }
    needs_.scratch_bytes = scratch_.bytes();
  }

  void report_work(const KernelRequest& request) {
    const auto outputs = static_cast<double>(request.output.shape.elements());
    const std::int64_t products = problem_.in_channels * problem_.taps();  // of an output
    const double flops = 2.0 * static_cast<double>(products) * outputs;
    input_bytes_ = static_cast<double>(request.inputs.front().bytes());
    output_bytes_ = static_cast<double>(request.output.bytes());
    const std::string after = fmt::format("{}{}", norm_ ? ", norm" : "", rule_ ? ", activation" : "");
    // The sums read what is in cache.
    const double alone = has_inner() ? 2 : 1;  // moves of the output without a normalisation
    forward_report_ = report(request, "forward" + after, Kind::format.layout, flops,
                             input_bytes_ + (norm_ ? 3 : alone) * output_bytes_);
    if (!weight_gradient_) return;
    const double gradients = input_gradient_ ? 2 : 1;
    backward_report_ = report(
        request, (input_gradient_ ? "backward weights, data" : "backward weights") + after, Kind::format.layout,
        gradients * flops, gradients * input_bytes_ + (norm_ ? 4 : alone) * output_bytes_);
  }

  void write_output(Element* to) const {
    parallel_parts(context_.threads, problem_.blocks, PartOrder::last_to_first,
                   [=, this](std::int64_t n, std::int64_t /*thread*/) {
                     make_output(n, 1, to + n * forward_.y_picture(), 0);
                   });
  }

  // Blocks [first, first + blocks) and, while they are in cache, what is to be known of them.
  void convolve(std::int64_t first, std::int64_t blocks, std::int64_t thread) const {
    Pictures x;
    if (before_ == nullptr) {
      x = input_at(first);
    } else {
      const LanesPlaces<Element> made = of_thread(source_at_, thread);
      before_->make_output(first, blocks, made.first, made.step);
      x = {made.first, made.step};
    }
    const std::int64_t at = first * forward_.y_picture();
    Element* const to = (has_inner() ? inner() : output<Element>()) + at;
    forward_.run(x.first, x.step, forward_weights_.data(), conv_.bias ? tensor(bound_.parameters, 1) : nullptr,
                 to, forward_.y_picture(), blocks);
    if (norm_) {
      for_slices(first, blocks, [this](std::int64_t n, std::int64_t c, std::int64_t offset) {
        sums_.of(saved<ChannelSums>(sums_at_), n, c) = lanes_sums(inner() + offset, inner() + offset, slice_);
      });
    } else if (rule_) {
      activate_lanes(to, output<Element>() + at, blocks * forward_.y_picture(), *rule_);
    }
  }

  // Calls f(block, channel, offset) for the slices of blocks [first, first + blocks).
  template <class Function>
  void for_slices(std::int64_t first, std::int64_t blocks, Function&& f) const {
    for (std::int64_t n = first; n < first + blocks; ++n) {
      for (std::int64_t c = 0; c < problem_.out_channels; ++c) {
        f(n, c, (n * problem_.out_channels + c) * slice_);
      }
    }
  }

  void find_statistics() const {
    auto* const sums = saved<ChannelSums>(sums_at_);
    sums_.add_up(sums);
    descent::find_statistics(*norm_, sums, problem_.out_channels, count(), norm_tensors(),
                             saved<ChannelMoments>(moments_at_), saved<ChannelForward>(by_at_));
  }

  void find_gradients() const {
    auto* const sums = saved<ChannelSums>(sums_at_);
    sums_.add_up(sums);
    descent::find_gradients(sums, problem_.out_channels, count(), saved<ChannelMoments>(moments_at_),
                            norm_tensors(), {bound_.parameter_gradients, conv_.bias},
                            scratch<ChannelBackward>(back_at_));
  }

  // The gradient of the convolution's output.
  [[nodiscard]] Pictures gradient_of(std::int64_t first, std::int64_t blocks, std::int64_t thread) const {
    if (!has_inner()) return gradient_at(first);
    auto* const made = scratch<Element>(gradient_at_ + static_cast<std::size_t>(thread) * gradient_bytes_);
    for_slices(first, blocks, [&, this](std::int64_t n, std::int64_t c, std::int64_t offset) {
      Element* const to = made + (n - first) * gradient_picture() + c * slice_;
      const Element* const dy = output_gradient<Element>() + offset;
      if (norm_) {
        lanes_gradient(inner() + offset, dy, to, slice_, saved<ChannelForward>(by_at_)[c],
                       scratch<ChannelBackward>(back_at_)[c], rule());
      } else {
        lanes_activation_gradient(inner() + offset, dy, to, slice_, *rule_);
      }
    });
    return {made, gradient_picture()};
  }

  // Nothing is made on the way that both gradients had best find in cache.
  [[nodiscard]] bool is_alone() const { return !has_inner() && before_ == nullptr; }

  // For more threads than there are parts: the input's gradient has more of them.
  void backward_one_by_one() const {
    weight_gradient_->run(context_, input<Element>(), output_gradient<Element>(), scratch<float>(partial_at_),
                          tensor(bound_.parameter_gradients, 0),
                          conv_.bias ? tensor(bound_.parameter_gradients, 1) : nullptr);
    if (!input_gradient_) return;
    input_gradient_->run(context_, output_gradient<Element>(), backward_weights_.data(), nullptr,
                         input_gradient<Element>());
  }

  void backward_part(std::int64_t part, std::int64_t thread) const {
    float* const partial = scratch<float>(partial_at_) + part * weight_gradient_->partial();
    weight_gradient_->clear(partial);
    weight_gradient_->for_stretches(part, [&, this](std::int64_t first, std::int64_t blocks) {
      const Pictures dy = gradient_of(first, blocks, thread);
      const LanesPlaces<Element> dx = input_gradient_at(first, thread);
      Pictures x;
      LanesPlaces<Element> made;
      if (before_ == nullptr) {
        x = input_at(first);
      } else {
        // The gradient takes the place of what is not needed to sum up what comes of it.
        made = needs_.input_stays_in_cache ? of_thread(source_at_, thread) : dx;
        before_->make_output(first, blocks, made.first, made.step);
        x = {made.first, made.step};
      }
      weight_gradient_->add(x, dy, blocks, partial);
      if (!input_gradient_) return;
      input_gradient_->run(dy.first, dy.step, backward_weights_.data(), nullptr, dx.first, dx.step, blocks);
      if (before_ != nullptr) before_->take_sums(first, blocks, made, {dx.first, dx.step});
    });
  }

  // Where the gradient of some blocks of the input goes: to memory, if it is there that it goes.
  [[nodiscard]] LanesPlaces<Element> input_gradient_at(std::int64_t first, std::int64_t thread) const {
    if (!input_gradient_) return {};
    auto* const memory = input_gradient<Element>();
    if (memory == nullptr) return of_thread(source_gradient_at_, thread);
    return {memory + first * forward_.x_picture(), forward_.x_picture()};
  }
  // A thread's memory for blocks of its input, or for their gradient.
  [[nodiscard]] LanesPlaces<Element> of_thread(std::size_t offset, std::int64_t thread) const {
    return {scratch<Element>(offset + static_cast<std::size_t>(thread) * source_bytes_), source_picture()};
  }
  [[nodiscard]] Pictures input_at(std::int64_t first) const {
    return {input<Element>() + first * forward_.x_picture(), forward_.x_picture()};
  }
  [[nodiscard]] Pictures gradient_at(std::int64_t first) const {
    return {output_gradient<Element>() + first * forward_.y_picture(), forward_.y_picture()};
  }

  template <class T>
  [[nodiscard]] T* saved(std::size_t offset) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.saved) + offset);
  }
  template <class T>
  [[nodiscard]] T* scratch(std::size_t offset) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.scratch) + offset);
  }
  // The convolution's output is not the unit's.
  [[nodiscard]] bool has_inner() const { return norm_ || rule_; }
  [[nodiscard]] Element* inner() const { return saved<Element>(inner_at_); }
  [[nodiscard]] const ReluRule* rule() const { return rule_ ? &*rule_ : nullptr; }
  [[nodiscard]] double count() const { return static_cast<double>(problem_.blocks * slice_); }  // a channel
  [[nodiscard]] NormTensors norm_tensors() const { return {bound_.parameters, bound_.statistics, conv_.bias}; }

  // Pictures made in cache are not a power of two apart: their lines share no places there.
  [[nodiscard]] std::int64_t source_picture() const { return forward_.x_picture() + Kind::pictures; }
  [[nodiscard]] std::int64_t gradient_picture() const { return forward_.y_picture() + Kind::pictures; }
  static std::size_t pictures_bytes(std::int64_t picture, std::int64_t blocks) {
    return static_cast<std::size_t>(picture * blocks) * sizeof(Element);
  }
  [[nodiscard]] std::size_t threads_bytes(std::size_t of_one) const {
    return static_cast<std::size_t>(working_) * of_one;
  }

  Conv conv_;
  std::optional<BatchNorm> norm_;
  std::optional<ReluRule> rule_;
  LanesProblem problem_;
  Gather forward_;
  std::optional<Gather> input_gradient_;
  std::optional<LanesWeightGradient<Element>> weight_gradient_;  // in training
  PackedWeights<Element> forward_weights_;
  PackedWeights<Element> backward_weights_;
  std::int64_t slice_;  // elements of one channel of a vector of pictures
  BlockSums sums_;
  std::int64_t threads_;
  std::int64_t working_;  // of them: each has a block at least
  CpuContext context_;
  // Between neighbours.
  LanesNormWriter<Element>* before_ = nullptr;  // left its output to this kernel
  bool handed_over_ = false;                    // the reader makes this kernel's output
  double input_bytes_ = 0, output_bytes_ = 0;
  Space scratch_;
  std::size_t gradient_bytes_ = 0, source_bytes_ = 0;  // a thread's
  std::size_t inner_at_ = 0, moments_at_ = 0, by_at_ = 0, sums_at_ = 0;
  std::size_t back_at_ = 0, partial_at_ = 0, gradient_at_ = 0, source_at_ = 0, source_gradient_at_ = 0;
};

template <class Element>
std::unique_ptr<Kernel> make_unit(const KernelRequest& request, const CpuContext& context, LanesOutput output) {
  auto kernel = std::make_unique<LanesUnitKernel<Element>>(request, context);
  if (output == LanesOutput::left) kernel->hand_over();
  return kernel;
}

}  // namespace

std::unique_ptr<Kernel> make_lanes_unit(const KernelRequest& request, const CpuContext& context,
                                        LanesOutput output) {
  if (request.output.type == DType::bf16) return make_unit<Bf16>(request, context, output);
  auto unit = make_unit<float>(request, context, output);
  return can_be_made_again(request) ? make_lanes_first(request, context, std::move(unit)) : std::move(unit);
}

}  // namespace descent
