// Weight gradient of a convolution, as many pictures to a vector as it holds.
// Idea: for one tap the outputs that it reached are a rectangle, without edges. A block of output × input
// channels stays in registers over such rectangles of a stretch of pictures, then its width are summed and
// added to the partial gradient: so the sum over width, like the block's way in and out of registers, is paid
// once in some hundred multiply-adds also on maps of 2×2. On small maps the dy of a block fits the first
// cache; all x and dy of the stretch, which each block reads again, most of the second.
// Bound: arithmetic, that of the innermost loops (lanes_f32_*.cpp, lanes_bf16_dot.cpp). Measured with the
// input's gradient and what lies between the layers (lanes_unit.cpp), two threads of a Zen 4, padded taps
// counted: 92 to 94 % of the peak, 236 GFLOP/s, from 32 channels on, 83 to 89 % from 16, 44 to 49 % on maps of
// one pixel.
#include "cpu/caches.h"
#include "cpu/lanes_conv.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"

#include <algorithm>
#include <array>
#include <bit>

namespace descent {

namespace {

// Partial gradients, whatever the number of threads: enough for a few threads to take over some of each
// other's, fewer where they are large.
constexpr std::uint64_t most_parts = 16;
constexpr std::uint64_t parts_of_many = 8;
constexpr std::int64_t many_weights = std::int64_t{16} * 1024;
constexpr std::int64_t long_stretch = 8;      // blocks that pay for what a box of sums costs to begin and end
constexpr std::int64_t pixels_in_cache = 56;  // of 8 output channels: 28 KiB
// Of a strip, 100 KiB: read from the second cache, that costs less than boxes that begin and end more often.
constexpr std::int64_t pixels_of_strip = 200;

// Blocks of pictures that are summed up together; of more than a few, whole sets of those that the input's
// gradient computes together.
std::int64_t stretch_of(const LanesProblem& problem, std::int64_t picture_bytes, std::int64_t together) {
  const std::int64_t inputs = problem.in_channels * problem.rows.input * problem.columns.input;
  const std::int64_t pixels = problem.rows.output * problem.columns.output;
  const std::int64_t bytes = (inputs + problem.out_channels * pixels) * picture_bytes;
  const std::int64_t most = std::min(pixels_in_cache / pixels, second_cache_bytes() * 3 / 5 / bytes);
  return most > together ? most / together * together : std::max<std::int64_t>(most, 1);
}

// As many for each of two, four or eight threads; none shorter than a stretch, or than a long one.
std::int64_t parts_of(const LanesProblem& problem, std::int64_t stretch) {
  const auto parts = static_cast<std::uint64_t>(problem.blocks / std::min(stretch, long_stretch));
  const std::uint64_t most = problem.weights() < many_weights ? most_parts : parts_of_many;
  return static_cast<std::int64_t>(std::bit_floor(std::clamp<std::uint64_t>(parts, 1, most)));
}

// Threes, but 4 = 2 + 2: one alone reads more than it multiplies.
std::int64_t inputs_at(std::int64_t channel, std::int64_t channels) {
  const std::int64_t left = channels - channel;
  if (left == 4 || left == 2) return 2;
  return left >= 3 ? 3 : 1;
}

// The outputs [first, last) of an axis that tap `k` reached.
struct Reached {
  std::int64_t first, last;
  Reached(const Axis& axis, std::int64_t k) {
    const std::int64_t shift = k * axis.dilation - axis.padding;
    first = shift >= 0 ? 0 : (-shift + axis.stride - 1) / axis.stride;
    last = shift >= axis.input ? 0 : std::min(axis.output, (axis.input - 1 - shift) / axis.stride + 1);
  }
};

constexpr std::int64_t pairs_at_once = 64;  // of an input and a tap

// The sums over `parts` of `count` neighbours, in the order of the parts.
DESCENT_CLONES void sum_parts(const float* of_part, std::int64_t parts, std::int64_t partial,
                              std::int64_t count, float* sums) {
  std::copy_n(of_part, count, sums);
  for (std::int64_t part = 1; part < parts; ++part) {
    const float* const more = of_part + part * partial;
    for (std::int64_t i = 0; i < count; ++i) sums[i] += more[i];
  }
}

}  // namespace

template <class Element>
LanesWeightGradient<Element>::LanesWeightGradient(const LanesProblem& problem, bool bias, const Loops& loops)
    : problem_(problem),
      bias_(bias),
      loops_(loops),
      stretch_(stretch_of(problem, width * static_cast<std::int64_t>(sizeof(Element)),
                          LanesElement<Element>::pixels)),
      parts_(parts_of(problem, stretch_)) {
  // Strips of output rows of much the same height.
  const std::int64_t rows = problem.rows.output;
  const std::int64_t most_rows = std::max<std::int64_t>(pixels_of_strip / problem.columns.output, 1);
  const std::int64_t strips = (rows - 1) / most_rows + 1;
  for (std::int64_t strip = 0; strip < strips; ++strip) {
    strips_.push_back(reaches(rows * strip / strips, rows * (strip + 1) / strips));
  }
}

// With one input channel, taps that are neighbours take the place of channels: as many outputs are read, but
// three times as much is done with them. What only some of them reached is left to each alone.
template <class Element>
auto LanesWeightGradient<Element>::reaches(std::int64_t top, std::int64_t bottom) const -> std::vector<Reach> {
  const LanesProblem& p = problem_;
  const std::int64_t together = p.in_channels == 1 ? 3 : 1;
  std::vector<Reach> found;
  for (std::int64_t kh = 0; kh < p.rows.kernel; ++kh) {
    const Reached down(p.rows, kh);
    const std::int64_t row = std::max(down.first, top);
    const std::int64_t rows = std::min(down.last, bottom) - row;
    if (rows <= 0) continue;
    const std::int64_t in_row = p.rows.source(row, kh);
    const auto add = [&](std::int64_t kw, std::int64_t taps, std::int64_t first, std::int64_t last) {
      if (first >= last) return;
      const std::int64_t in_column = p.columns.source(first, kw);
      found.push_back({(in_row * p.columns.input + in_column) * width, (row * p.columns.output + first) * width,
                       rows, last - first, kh * p.columns.kernel + kw, taps});
    };
    for (std::int64_t kw = 0; kw < p.columns.kernel; kw += together) {
      const std::int64_t taps = std::min(together, p.columns.kernel - kw);
      std::int64_t first = 0;
      std::int64_t last = p.columns.output;
      for (std::int64_t tap = kw; tap < kw + taps; ++tap) {
        first = std::max(first, Reached(p.columns, tap).first);
        last = std::min(last, Reached(p.columns, tap).last);
      }
      add(kw, taps, first, last);
      last = std::max(first, last);
      for (std::int64_t tap = kw; taps > 1 && tap < kw + taps; ++tap) {
        const Reached across(p.columns, tap);
        add(tap, 1, across.first, std::min(first, across.last));
        add(tap, 1, std::max(last, across.first), across.last);
      }
    }
  }
  return found;
}

template <class Element>
std::int64_t LanesWeightGradient<Element>::place(std::int64_t output, std::int64_t pair) const {
  const LanesProblem& p = problem_;
  std::int64_t block = 0;
  while (block + channel_block(block, p.out_channels) <= output) block += channel_block(block, p.out_channels);
  return block * p.in_channels * p.taps() + pair * channel_block(block, p.out_channels) + output - block;
}

template <class Element>
void LanesWeightGradient<Element>::clear(float* partial) const {
  std::fill_n(partial, this->partial(), 0.0F);
}

// One strip of one block of output channels from `output` on, as many at once as the innermost loops sum up.
template <class Element>
void LanesWeightGradient<Element>::add_strip(const std::vector<Reach>& strip, const LanesPictures<Element>& x,
                                             const LanesPictures<Element>& dy, std::int64_t pictures,
                                             std::int64_t output, float* partial) const {
  const LanesProblem& p = problem_;
  const std::int64_t x_channel = p.rows.input * p.columns.input * width;
  float* const gradient = partial + output * p.in_channels * p.taps();
  const std::int64_t block = channel_block(output, p.out_channels);
  LanesBox<Element> box;
  box.outputs = std::min(block, loops_.most_outputs);
  box.dy_channel = p.rows.output * p.columns.output * width;
  for (std::int64_t first = 0; first < block; first += box.outputs) {
    for (std::int64_t i = 0; i < p.in_channels; i += inputs_at(i, p.in_channels)) {
      for (const Reach& reach : strip) {
        box.x = x.first + i * x_channel + reach.x;
        box.dy = dy.first + (output + first) * box.dy_channel + reach.dy;
        const LanesSteps across{reach.columns, p.columns.stride * width, width};
        const LanesSteps along{pictures, x.step, dy.step};
        box.middle = {reach.rows, p.rows.stride * p.columns.input * width, p.columns.output * width};
        box.outer = across.count >= along.count ? along : across;
        box.inner = across.count >= along.count ? across : along;
        const bool of_taps = reach.taps > 1;
        box.x_channel = of_taps ? p.columns.dilation * width : x_channel;
        box.inputs = of_taps ? reach.taps : inputs_at(i, p.in_channels);
        box.gradient = gradient + (i * p.taps() + reach.tap) * block + first;
        box.input_step = (of_taps ? 1 : p.taps()) * block;
        loops_.add_products(box);
      }
    }
  }
}

template <class Element>
void LanesWeightGradient<Element>::add(const LanesPictures<Element>& x, const LanesPictures<Element>& dy,
                                       std::int64_t pictures, float* partial) const {
  const LanesProblem& p = problem_;
  for (const auto& strip : strips_) {
    for (std::int64_t output = 0; output < p.out_channels; output += channel_block(output, p.out_channels)) {
      add_strip(strip, x, dy, pictures, output, partial);
    }
  }
  if (!bias_) return;
  const std::int64_t dy_channel = p.rows.output * p.columns.output * width;
  for (std::int64_t n = 0; n < pictures; ++n) {
    for (std::int64_t o = 0; o < p.out_channels; ++o) {
      partial[p.weights() + o] += loops_.sum(dy.first + n * dy.step + o * dy_channel, dy_channel);
    }
  }
}

template <class Element>
void LanesWeightGradient<Element>::finish(const CpuContext& context, const float* scratch,
                                          float* weight_gradient, float* bias_gradient) const {
  const LanesProblem& p = problem_;
  const std::int64_t pairs = p.in_channels * p.taps();
  const std::int64_t grain = 8 * std::max<std::int64_t>(1, 512 / pairs);
  parallel_for(context.threads, p.out_channels, grain, [&, this](std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = begin; first < end; first += channel_block(first, p.out_channels)) {
      const std::int64_t outputs = channel_block(first, p.out_channels);
      for (std::int64_t pair = 0; pair < pairs; pair += pairs_at_once) {
        const std::int64_t some = std::min(pairs_at_once, pairs - pair);
        std::array<float, pairs_at_once * 8> sums;
        sum_parts(scratch + first * pairs + pair * outputs, parts_, partial(), some * outputs, sums.data());
        for (std::int64_t o = 0; o < outputs; ++o) {
          float* const to = weight_gradient + (first + o) * pairs + pair;
          for (std::int64_t i = 0; i < some; ++i) to[i] = sums[static_cast<std::size_t>(i * outputs + o)];
        }
      }
    }
  });
  if (bias_gradient == nullptr) return;
  if (!bias_) {
    std::fill_n(bias_gradient, p.out_channels, 0.0F);
  } else {
    sum_parts(scratch + p.weights(), parts_, partial(), p.out_channels, bias_gradient);
  }
}

template <class Element>
void LanesWeightGradient<Element>::run(const CpuContext& context, const Element* x, const Element* dy,
                                       float* scratch, float* weight_gradient, float* bias_gradient) const {
  const LanesProblem& p = problem_;
  const std::int64_t x_picture = p.in_channels * p.rows.input * p.columns.input * width;
  const std::int64_t dy_picture = p.out_channels * p.rows.output * p.columns.output * width;
  parallel_parts(context.threads, parts_, PartOrder::first_to_last,
                 [&, this](std::int64_t part, std::int64_t /*thread*/) {
                   float* const sums = scratch + part * partial();
                   clear(sums);
                   for_stretches(part, [&, this](std::int64_t n, std::int64_t pictures) {
                     add({x + n * x_picture, x_picture}, {dy + n * dy_picture, dy_picture}, pictures, sums);
                   });
                 });
  finish(context, scratch, weight_gradient, bias_gradient);
}

template class LanesWeightGradient<float>;
template class LanesWeightGradient<Bf16>;

}  // namespace descent
