// A value between two units that want it in different orders or types. Bound: bytes, one read and one write.
// Channels-last is written with neighbouring threads at neighbouring places; what is read then lies H·W apart,
// which caches make up for where there are few channels. Tiles through shared memory: not yet.
#include "cuda/cuda_kernel.h"

#include <string>

namespace descent {
namespace {

struct Planes {
  std::int64_t channels = 1;
  std::int64_t plane = 1;  // H·W
};

// Where element i of an order lies in the other one.
__device__ std::int64_t place_in(const Planes& planes, bool to_nhwc, std::int64_t i) {
  const std::int64_t inner = to_nhwc ? planes.channels : planes.plane;
  const std::int64_t outer = to_nhwc ? planes.plane : planes.channels;
  const std::int64_t picture = i / (inner * outer);
  const std::int64_t rest = i % (inner * outer);
  return picture * inner * outer + rest % inner * outer + rest / inner;
}

enum class Order : std::uint8_t { same, to_nhwc, to_nchw };

template <class From, class To>
__global__ void reorder(Planes planes, Order order, const From* from, To* to, std::int64_t count) {
  for (const std::int64_t i : grid_stride(count)) {
    const std::int64_t source = order == Order::same ? i : place_in(planes, order == Order::to_nhwc, i);
    to[i] = to_element<To>(to_f32(from[source]));
  }
}

class ReorderKernel final : public CudaKernel {
 public:
  ReorderKernel(const TensorDesc& from, Format to, bool gradient, const CudaContext& context)
      : CudaKernel(context), from_(from.format()), to_(to), elements_(from.shape.elements()) {
    if (from.shape.rank() == 4) planes_ = {from.shape[1], from.shape[2] * from.shape[3]};
    needs_.inputs = {from_};
    needs_.output = to_;
    const auto bytes = static_cast<double>(from.bytes() + from.in(to).bytes());
    forward_report_ = describe("reorder forward", from_, to_, bytes);
    if (gradient) backward_report_ = describe("reorder backward", to_, from_, bytes);
  }

  void forward(const StepContext& /*step*/) override { copy(from_, to_, bound_.inputs.front(), bound_.output); }
  void backward(const StepContext& /*step*/) override {
    if (bound_.input_gradients.front() == nullptr || bound_.output_gradient == nullptr) return;
    copy(to_, from_, bound_.output_gradient, bound_.input_gradients.front());
  }

 private:
  static OperationReport describe(std::string operation, Format from, Format to, double bytes) {
    return {"",   std::move(operation), "own", cuda_format_name(from) + " → " + cuda_format_name(to), 0, 0,
            bytes};
  }

  void copy(Format from, Format to, const void* source, void* destination) const {
    const bool moves = from.layout != to.layout && planes_.channels > 1 && planes_.plane > 1;
    const Order moved = to.layout == nhwc ? Order::to_nhwc : Order::to_nchw;
    const Order order = moves ? moved : Order::same;
    with_element(from.type, [&]<class From>(From /*type*/) {
      with_element(to.type, [&]<class To>(To /*type*/) {
        launch(context_, "reorder", grid_for(context_, elements_), reorder<From, To>, planes_, order,
               static_cast<const From*>(source), static_cast<To*>(destination), elements_);
      });
    });
  }

  Format from_;
  Format to_;
  Planes planes_;
  std::int64_t elements_;
};

}  // namespace

std::unique_ptr<Kernel> make_cuda_reorder(const TensorDesc& from, Format to, bool gradient,
                                          const CudaContext& context) {
  return std::make_unique<ReorderKernel>(from, to, gradient, context);
}

}  // namespace descent
