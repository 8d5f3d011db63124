// Bound: the draws, one an element or a channel, which must be the same on every device (plan/dropout.h).
// Measured with two threads of a Zen 4 (`descent bench --kernels own --batch 32 --model
// tools/networks/grouped.toml`): 720 million of them a second forward; backward 66 to 114 GB/s, of 185 of
// copies in cache.
#include "plan/dropout.h"

#include "cpu/loop_kernel.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "plan/element.h"

namespace descent {
namespace {

// Of draws that follow each other: whether each is kept.
DESCENT_CLONES void draw_kept(const RandomKey& key, std::uint64_t first, double chance, std::uint8_t* kept,
                              std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    kept[i] = keeps(key, first + static_cast<std::uint64_t>(i), chance) ? 1 : 0;
  }
}

// Draws once in forward and keeps one byte a draw: a draw costs more than the byte's way to memory.
template <class Element>
class DropoutKernel : public LoopKernel {
 public:
  DropoutKernel(const KernelRequest& request, const CpuContext& context)
      : chance_(std::get<Dropout>(request.unit.first().op).p),
        scale_(static_cast<float>(1 / (1 - chance_))),
        layer_(request.unit.indices.front()),
        active_(trains(request)),
        threads_(context.threads) {
    const Shape& shape = request.output.shape;
    const std::int64_t elements = shape.elements();
    const bool channels = std::get<Dropout>(request.unit.first().op).channels;
    pictures_ = shape[0];
    per_picture_ = channels ? shape[1] : elements / pictures_;
    per_draw_ = elements / pictures_ / per_picture_;

    needs_.output = request.output.format();
    needs_.inputs = {needs_.output};
    if (!active_) {
      needs_.output_is_input = true;  // the identity
      return;
    }
    const std::int64_t draws = pictures_ * per_picture_;
    needs_.output_is_input = request.input_is_free;
    needs_.saved_bytes = static_cast<std::size_t>(draws);
    const double bytes = 2 * static_cast<double>(request.output.bytes()) + static_cast<double>(draws);
    forward_report_ = report(request, "forward", Layout::plain, 0, bytes);
    if (wants_gradient(request)) backward_report_ = report(request, "backward", Layout::plain, 0, bytes);
  }

  void forward(const StepContext& context) override {
    if (!active_) return;
    const RandomKey key = dropout_key(context.seed, context.epoch, layer_);
    // A picture's draws follow those of the picture before it.
    const std::uint64_t first =
        dropout_position(context.first_picture, static_cast<std::uint64_t>(per_picture_), 0);
    auto* const kept = static_cast<std::uint8_t*>(bound_.saved);
    parallel_for(threads_, pictures_ * per_picture_, 64, [&](std::int64_t begin, std::int64_t end) {
      draw_kept(key, first + static_cast<std::uint64_t>(begin), chance_, kept + begin, end - begin);
      apply(input<Element>(), output<Element>(), begin, end);
    });
  }

  void backward(const StepContext& /*context*/) override {
    if (!active_ || input_gradient<Element>() == nullptr) return;
    parallel_for(threads_, pictures_ * per_picture_, 64, [&](std::int64_t begin, std::int64_t end) {
      apply(output_gradient<Element>(), input_gradient<Element>(), begin, end);
    });
  }

 private:
  // The same for values and gradients: of draws [begin, end).
  void apply(const Element* from, Element* to, std::int64_t begin, std::int64_t end) const {
    const auto* const kept = static_cast<const std::uint8_t*>(bound_.saved);
    if (per_draw_ == 1) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        // Read in any case: a processor that guesses which are kept is wrong half the time.
        const float value = to_f32(from[i]) * scale_;
        to[i] = to_element<Element>(kept[i] != 0 ? value : 0.0F);
      }
      return;
    }
    for (std::int64_t draw = begin; draw < end; ++draw) {
      const float factor = kept[draw] != 0 ? scale_ : 0.0F;
#pragma omp simd
      for (std::int64_t i = draw * per_draw_; i < (draw + 1) * per_draw_; ++i) {
        to[i] = to_element<Element>(to_f32(from[i]) * factor);
      }
    }
  }

  double chance_;
  float scale_;
  std::size_t layer_;
  bool active_;
  int threads_;
  std::int64_t pictures_ = 0;
  std::int64_t per_picture_ = 0;  // draws
  std::int64_t per_draw_ = 0;     // elements
};

}  // namespace

std::unique_ptr<Kernel> make_dropout(const KernelRequest& request, const CpuContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<DropoutKernel<Element>>(request, context);
  });
}

}  // namespace descent
