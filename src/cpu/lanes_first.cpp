// A first convolution, with batch normalisation and perhaps an activation, that keeps nothing of its output's
// size.
//
// Idea: it has few weights and no gradient of its input to give, so all else can be had from sums.
//
// Forward, with x the pixels that the taps read and w a channel's weights: Σy = w·Σx and Σy² = wᵀ·(Σx·xᵀ)·w
// (LanesGram), from which follow mean and variance. The reader convolves with weights that hold the
// normalisation, block by block, where it reads.
//
// Backward, with g the gradient of the normalised output, the reader makes g, block by block, and Σ g·x is
// taken. From that follow Σ g·y = w·Σ g·x, hence the normalisation's own gradient, gain·g + slope·(y − centre)
// + shift (plan/norm_rule.h), and hence
//   dw = gain·Σ g·x + slope·(Σ y·x − centre·Σx) + shift·Σx, where Σ y·x = (Σx·xᵀ)·w.
//
// Sums over a block are taken in f32, or double for those of x alone, and added up in double. A unit of the
// usual kind, which stands in its place where a layer within it is watched, rounds otherwise.
//
// Bound: arithmetic; three times the convolution's and the products of LanesGram, where a unit of the usual
// kind does two and moves 32 bytes an output at least: forward written and read, backward read twice, its
// gradient written and read, and twice what is read before it is written. Measured with its reader: a step of
// convnet takes 6.9 ms with it, 7.3 without (lanes_unit.cpp).
#include "cpu/lanes_first.h"

#include "cpu/caches.h"
#include "cpu/channel_norm.h"
#include "cpu/lanes_conv.h"
#include "cpu/lanes_gram.h"
#include "cpu/lanes_neighbours.h"
#include "cpu/lanes_norm.h"
#include "cpu/loop_kernel.h"
#include "cpu/packed_weights.h"
#include "cpu/parallel.h"
#include "plan/space.h"
#include "plan/units.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace descent {

namespace {

LanesProblem problem_of(const KernelRequest& request) {
  return {std::get<Conv>(request.unit.first().op), request.inputs.front().shape, request.output.shape, lanes};
}

class MadeAgainKernel final : public LoopKernel, public LanesNormWriter<float> {
 public:
  MadeAgainKernel(const KernelRequest& request, const CpuContext& context)
      : conv_(std::get<Conv>(request.unit.first().op)),
        norm_(operation_in<BatchNorm>(request.unit).value()),
        problem_(problem_of(request)),
        forward_(LanesGather<float>::forward(problem_)),
        folded_(forward_),
        gram_(problem_),
        gradient_(problem_, true),
        pairs_(gram_.taps()),
        slice_(problem_.rows.output * problem_.columns.output * lanes),
        context_(context) {
    if (const auto relu = operation_in<GeneralRelu>(request.unit)) rule_.emplace(*relu);
    needs_.output = LanesElement<float>::format;
    needs_.inputs = {needs_.output};
    needs_.backward_reads_inputs = true;
    const auto channels = static_cast<std::size_t>(problem_.out_channels);
    Space saved;
    const auto block_floats = static_cast<std::size_t>(problem_.blocks * gradient_.partial());
    const auto block_doubles = static_cast<std::size_t>(problem_.blocks * gram_.size());
    gradient_sums_at_ = saved.take(block_floats * sizeof(float));
    gradient_total_at_ = saved.take(static_cast<std::size_t>(gradient_.partial()) * sizeof(double));
    gram_at_ = saved.take(block_doubles * sizeof(double));
    sums_at_ = saved.take(channels * sizeof(ChannelSums));
    moments_at_ = saved.take(channels * sizeof(ChannelMoments));
    by_at_ = saved.take(channels * sizeof(ChannelForward));
    back_at_ = saved.take(channels * sizeof(ChannelBackward));
    folded_weights_at_ = saved.take(static_cast<std::size_t>(problem_.weights()) * sizeof(float));
    shifts_at_ = saved.take(channels * sizeof(float));
    needs_.saved_bytes = saved.bytes();
    report_work(request);
  }

  void forward(const StepContext& /*context*/) override {
    parallel_parts(
        context_.threads, problem_.blocks, PartOrder::first_to_last,
        [this](std::int64_t n, std::int64_t /*thread*/) { gram_.find(pictures(n).first, gram_of(n)); });
    add_up_gram();
    auto* const sums = saved<ChannelSums>(sums_at_);
    for (std::int64_t o = 0; o < problem_.out_channels; ++o) sums[o] = output_sums(o);
    find_statistics(norm_, sums, problem_.out_channels, count(), tensors(), saved<ChannelMoments>(moments_at_),
                    saved<ChannelForward>(by_at_));
    fold();
  }

  void backward(const StepContext& /*context*/) override {
    add_up_gradients();
    auto* const sums = saved<ChannelSums>(sums_at_);
    for (std::int64_t o = 0; o < problem_.out_channels; ++o) sums[o] = gradient_sums(o);
    find_gradients(sums, problem_.out_channels, count(), saved<ChannelMoments>(moments_at_), tensors(),
                   {bound_.parameter_gradients, conv_.bias}, saved<ChannelBackward>(back_at_));
    parallel_for(context_.threads, problem_.out_channels, 8, [this](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) weight_gradients(o);
    });
    // The mean takes away what a bias adds.
    if (conv_.bias) std::fill_n(tensor(bound_.parameter_gradients, 1), problem_.out_channels, 0.0F);
  }

  void complete(void* output) override {
    parallel_parts(context_.threads, problem_.blocks, PartOrder::last_to_first,
                   [=, this](std::int64_t n, std::int64_t /*thread*/) {
                     make_output(n, 1, static_cast<float*>(output) + n * forward_.y_picture(), 0);
                   });
  }

  bool hand_over() override { return true; }
  void make_output(std::int64_t first, std::int64_t blocks, float* to, std::int64_t picture) const override {
    const LanesPictures<float> x = pictures(first);
    forward_.run(x.first, x.step, folded_.data(), saved<float>(shifts_at_), to, picture, blocks, rule());
  }
  void take_sums(std::int64_t first, std::int64_t blocks, const LanesPlaces<float>& output,
                 const LanesPictures<float>& gradient) const override {
    for (std::int64_t n = 0; n < blocks; ++n) {
      float* const y = output.first + n * output.step;
      const float* const dy = gradient.first + n * gradient.step;
      const float* g = dy;
      if (rule_) {
        lanes_gradient_by_output(y, dy, y, problem_.out_channels * slice_, *rule_);
        g = y;
      }
      float* const sums = gradient_sums_of(first + n);
      gradient_.clear(sums);
      gradient_.add(pictures(first + n), {g, 0}, 1, sums);
    }
  }

  [[nodiscard]] LanesWork work_of_reader() const { return {flops_, 2 * flops_, forward_report_.bytes}; }

 private:
  void report_work(const KernelRequest& request) {
    const auto pixels = static_cast<double>(problem_.blocks * slice_);
    flops_ = 2 * static_cast<double>(problem_.weights()) * pixels;
    const auto products = static_cast<double>((pairs_ + 1) * (pairs_ + 2)) / 2;
    const std::string after = rule_ ? ", norm, activation" : ", norm";
    forward_report_ = report(request, "forward" + after, needs_.output.layout, 2 * products * pixels,
                             static_cast<double>(request.inputs.front().bytes()));
    backward_report_ = report(request, "backward weights" + after, needs_.output.layout, 0, 0);
  }

  // Into the first block's place, in the order of the blocks.
  void add_up_gram() const {
    double* const total = gram_of(0);
    for (std::int64_t n = 1; n < problem_.blocks; ++n) {
      const double* const more = gram_of(n);
      for (std::int64_t i = 0; i < gram_.size(); ++i) total[i] += more[i];
    }
  }
  // Σy and Σy².
  [[nodiscard]] ChannelSums output_sums(std::int64_t channel) const {
    const double* const gram = gram_of(0);
    double sum = 0;
    double of_squares = 0;
    for (std::int64_t a = 0; a < pairs_; ++a) {
      sum += weight(channel, a) * gram_.sum(gram, a);
      of_squares += weight(channel, a) * times_weights(channel, a);
    }
    const double bias = bias_of(channel);
    return {sum + bias * count(), of_squares + 2 * bias * sum + bias * bias * count()};
  }
  // Σ x[a]·(y − bias).
  [[nodiscard]] double times_weights(std::int64_t channel, std::int64_t a) const {
    double sum = 0;
    for (std::int64_t b = 0; b < pairs_; ++b) sum += weight(channel, b) * gram_.product(gram_of(0), a, b);
    return sum;
  }

  // Weights and shifts that convolve and normalise at once.
  void fold() {
    auto* const weights = saved<float>(folded_weights_at_);
    auto* const shifts = saved<float>(shifts_at_);
    for (std::int64_t o = 0; o < problem_.out_channels; ++o) {
      const ChannelForward& by = saved<ChannelForward>(by_at_)[o];
      const auto slope = static_cast<double>(by.slope);
      for (std::int64_t pair = 0; pair < pairs_; ++pair) {
        weights[o * pairs_ + pair] = static_cast<float>(weight(o, pair) * slope);
      }
      const double centred = bias_of(o) - static_cast<double>(by.centre);
      shifts[o] = static_cast<float>(centred * slope + static_cast<double>(by.shift));
    }
    folded_.pack(forward_, weights);
  }

  // In the order of the blocks.
  void add_up_gradients() const {
    double* const total = gradient_total();
    std::fill_n(total, gradient_.partial(), 0.0);
    for (std::int64_t n = 0; n < problem_.blocks; ++n) {
      const float* const more = gradient_sums_of(n);
      for (std::int64_t i = 0; i < gradient_.partial(); ++i) total[i] += static_cast<double>(more[i]);
    }
  }
  // Σg and Σ g·y.
  [[nodiscard]] ChannelSums gradient_sums(std::int64_t channel) const {
    const double sum = gradient_total()[gradient_.bias_place(channel)];
    double of_products = bias_of(channel) * sum;
    for (std::int64_t pair = 0; pair < pairs_; ++pair) {
      of_products += weight(channel, pair) * gradient_total()[gradient_.place(channel, pair)];
    }
    return {sum, of_products};
  }
  void weight_gradients(std::int64_t channel) const {
    const ChannelBackward& back = saved<ChannelBackward>(back_at_)[channel];
    const double off_centre =
        bias_of(channel) - static_cast<double>(saved<ChannelForward>(by_at_)[channel].centre);
    for (std::int64_t pair = 0; pair < pairs_; ++pair) {
      const double of_input = gram_.sum(gram_of(0), pair);
      const double of_output = times_weights(channel, pair) + off_centre * of_input;
      tensor(bound_.parameter_gradients, 0)[channel * pairs_ + pair] = static_cast<float>(
          static_cast<double>(back.gain) * gradient_total()[gradient_.place(channel, pair)] +
          static_cast<double>(back.slope) * of_output + static_cast<double>(back.shift) * of_input);
    }
  }

  template <class T>
  [[nodiscard]] T* saved(std::size_t offset) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(bound_.saved) + offset);
  }
  [[nodiscard]] double* gram_of(std::int64_t block) const {
    return saved<double>(gram_at_) + block * gram_.size();
  }
  [[nodiscard]] float* gradient_sums_of(std::int64_t block) const {
    return saved<float>(gradient_sums_at_) + block * gradient_.partial();
  }
  [[nodiscard]] double* gradient_total() const { return saved<double>(gradient_total_at_); }
  [[nodiscard]] LanesPictures<float> pictures(std::int64_t first) const {
    return {input() + first * forward_.x_picture(), forward_.x_picture()};
  }
  [[nodiscard]] double weight(std::int64_t channel, std::int64_t pair) const {
    return static_cast<double>(tensor(bound_.parameters, 0)[channel * pairs_ + pair]);
  }
  [[nodiscard]] double bias_of(std::int64_t channel) const {
    return conv_.bias ? static_cast<double>(tensor(bound_.parameters, 1)[channel]) : 0.0;
  }
  [[nodiscard]] NormTensors tensors() const { return {bound_.parameters, bound_.statistics, conv_.bias}; }
  [[nodiscard]] double count() const { return static_cast<double>(problem_.blocks * slice_); }  // a channel
  [[nodiscard]] const ReluRule* rule() const { return rule_ ? &*rule_ : nullptr; }

  Conv conv_;
  BatchNorm norm_;
  std::optional<ReluRule> rule_;
  LanesProblem problem_;
  LanesGather<float> forward_;
  PackedWeights<float> folded_;
  LanesGram gram_;
  LanesWeightGradient<float> gradient_;
  std::int64_t pairs_;  // of an input channel and a tap
  std::int64_t slice_;  // elements of one channel of a vector of pictures
  CpuContext context_;
  double flops_ = 0;  // of the convolution
  std::size_t gradient_sums_at_ = 0, gradient_total_at_ = 0, gram_at_ = 0;
  std::size_t sums_at_ = 0, moments_at_ = 0, by_at_ = 0, back_at_ = 0, folded_weights_at_ = 0, shifts_at_ = 0;
};

// A unit of the usual kind, until its reader is ready to make its output again.
class FirstKernel final : public Kernel, public LanesNormWriter<float> {
 public:
  FirstKernel(const KernelRequest& request, const CpuContext& context, std::unique_ptr<Kernel> unit)
      : request_(request),
        context_(context),
        kernel_(std::move(unit)),
        writer_(dynamic_cast<LanesNormWriter<float>*>(kernel_.get())) {}

  [[nodiscard]] const KernelNeeds& needs() const override { return kernel_->needs(); }
  void bind(const Binding& binding) override { kernel_->bind(binding); }
  void refresh() override { kernel_->refresh(); }
  void forward(const StepContext& context) override { kernel_->forward(context); }
  void backward(const StepContext& context) override { kernel_->backward(context); }
  void complete(void* output) override { kernel_->complete(output); }
  [[nodiscard]] OperationReport report_forward() const override { return kernel_->report_forward(); }
  [[nodiscard]] OperationReport report_backward() const override { return kernel_->report_backward(); }

  bool hand_over() override { return writer_->hand_over(); }
  std::optional<LanesWork> make_again() override {
    auto again = std::make_unique<MadeAgainKernel>(request_, context_);
    const LanesWork work = again->work_of_reader();
    writer_ = again.get();
    kernel_ = std::move(again);
    return work;
  }
  void make_output(std::int64_t first, std::int64_t blocks, float* to, std::int64_t picture) const override {
    writer_->make_output(first, blocks, to, picture);
  }
  void take_sums(std::int64_t first, std::int64_t blocks, const LanesPlaces<float>& output,
                 const LanesPictures<float>& gradient) const override {
    writer_->take_sums(first, blocks, output, gradient);
  }

 private:
  KernelRequest request_;  // what it refers to lives until the last kernel is prepared, and the reader's is one
  CpuContext context_;
  std::unique_ptr<Kernel> kernel_;
  LanesNormWriter<float>* writer_;
};

}  // namespace

// Three colours and 3×3 taps pay: for each output, that many multiplications take less time than memory for 32
// bytes, if there are outputs enough to share the products of LanesGram, which goes over a block again and
// again. What the reader makes, and its gradient, must stay in the second cache. Of an activation the sign of
// its input must be seen in its output.
bool can_be_made_again(const KernelRequest& request) {
  constexpr std::int64_t most_pairs = 32;
  constexpr std::int64_t pairs_an_output = 4;
  constexpr double largest_shift = 16;
  if (request.plan.mode != Mode::train || request.input_gradients.front() ||
      request.output.type != DType::f32 || !operation_in<BatchNorm>(request.unit)) {
    return false;
  }
  const LanesProblem problem = problem_of(request);
  const std::int64_t pairs = problem.in_channels * problem.taps();
  const std::int64_t of_input = problem.in_channels * problem.rows.input * problem.columns.input;
  const std::int64_t of_output = problem.out_channels * problem.rows.output * problem.columns.output;
  const std::int64_t bytes = (of_input + 2 * of_output) * lanes * static_cast<std::int64_t>(sizeof(float));
  if (pairs > std::min(most_pairs, pairs_an_output * problem.out_channels)) return false;
  if (bytes > second_cache_bytes()) return false;
  const auto relu = operation_in<GeneralRelu>(request.unit);
  return !relu || (relu->leak >= 0 && !relu->maxv && std::abs(relu->sub) <= largest_shift);
}

std::unique_ptr<Kernel> make_lanes_first(const KernelRequest& request, const CpuContext& context,
                                         std::unique_ptr<Kernel> unit) {
  return std::make_unique<FirstKernel>(request, context, std::move(unit));
}

}  // namespace descent
