// Draws once in forward and keeps one byte a draw. Bound: arithmetic of the draws forward, bytes backward.
// Seed, epoch and first picture are read from device memory, so that a recorded step draws anew.
#include "plan/dropout.h"

#include "cuda/cuda_kernel.h"

namespace descent {
namespace {

struct Draws {
  double chance = 0;
  float scale = 1;
  std::size_t layer = 0;
  std::int64_t per_picture = 1;
  std::int64_t count = 0;
};

__global__ void draw(Draws draws, const StepMoment* moment, std::uint8_t* kept) {
  const RandomKey key = dropout_key(moment->seed, moment->epoch, draws.layer);
  for (const std::int64_t i : grid_stride(draws.count)) {
    const std::uint64_t picture = moment->first_picture + static_cast<std::uint64_t>(i / draws.per_picture);
    const std::uint64_t position = dropout_position(picture, static_cast<std::uint64_t>(draws.per_picture),
                                                    static_cast<std::uint64_t>(i % draws.per_picture));
    kept[i] = keeps(key, position, draws.chance) ? 1 : 0;
  }
}

// The same for values and gradients. Plain order: a draw's elements are neighbours.
template <class Element>
__global__ void apply(Draws draws, std::int64_t per_draw, const std::uint8_t* kept, const Element* from,
                      Element* to) {
  for (const std::int64_t i : grid_stride(draws.count * per_draw)) {
    const float factor = kept[i / per_draw] != 0 ? draws.scale : 0.0F;
    to[i] = to_element<Element>(per_draw == 1 && factor == 0 ? 0.0F : to_f32(from[i]) * factor);
  }
}

template <class Element>
class DropoutKernel : public CudaKernel {
 public:
  DropoutKernel(const KernelRequest& request, Layout layout, const CudaContext& context)
      : CudaKernel(context), active_(trains(request)) {
    const auto& op = std::get<Dropout>(request.unit.first().op);
    const Shape& shape = request.output.shape;
    const std::int64_t elements = shape.elements();
    draws_.chance = op.p;
    draws_.scale = static_cast<float>(1 / (1 - op.p));
    draws_.layer = request.unit.indices.front();
    draws_.per_picture = op.channels ? shape[1] : elements / shape[0];
    draws_.count = shape[0] * draws_.per_picture;
    per_draw_ = elements / draws_.count;

    needs_.output = {request.output.type, layout};
    needs_.inputs = {needs_.output};
    if (!active_) {
      needs_.output_is_input = true;  // the identity
      return;
    }
    needs_.output_is_input = request.input_is_free;
    needs_.saved_bytes = static_cast<std::size_t>(draws_.count);
    const double bytes = 2 * static_cast<double>(request.output.bytes()) + static_cast<double>(draws_.count);
    forward_report_ = report(request, "forward", layout, 0, bytes);
    if (wants_gradient(request)) backward_report_ = report(request, "backward", layout, 0, bytes);
  }

  void forward(const StepContext& /*step*/) override {
    if (!active_) return;
    launch(context_, "dropout draws", grid_for(context_, draws_.count), draw, draws_, context_.moment,
           static_cast<std::uint8_t*>(bound_.saved));
    run(input<Element>(), output<Element>());
  }

  void backward(const StepContext& /*step*/) override {
    if (!active_ || input_gradient<Element>() == nullptr) return;
    run(output_gradient<Element>(), input_gradient<Element>());
  }

 private:
  void run(const Element* from, Element* to) const {
    launch(context_, "dropout", grid_for(context_, draws_.count * per_draw_), apply<Element>, draws_, per_draw_,
           static_cast<const std::uint8_t*>(bound_.saved), from, to);
  }

  bool active_;
  Draws draws_;
  std::int64_t per_draw_ = 1;  // elements
};

}  // namespace

std::unique_ptr<Kernel> make_cuda_kernel(const Dropout& /*op*/, const KernelRequest& request, Layout layout,
                                         const CudaContext& context) {
  return with_element(request.output.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<DropoutKernel<Element>>(request, layout, context);
  });
}

}  // namespace descent
