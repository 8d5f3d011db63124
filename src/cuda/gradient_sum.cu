// Backward half of a value that several layers read. Bound: bytes, each branch read and the sum written once.
#include "cuda/branches.h"
#include "cuda/cuda_kernel.h"
#include "cuda/each_pack.h"
#include "cuda/neighbours.h"
#include "descent/error.h"

namespace descent {
namespace {

template <class Element, int known>
struct Summing {
  Branches<Element, known> branches;
  Element* sum;

  template <int width>
  __device__ void compute(std::int64_t at) const {
    float total[width];
    branches.sum(branches.template load<width>(at), total);
    store_floats<width>(sum + at, total);
  }
};

// Any of the branches may share the sum's memory: each element is read before it is written.
template <class Element>
class GradientSumKernel final : public CudaKernel, public BranchedGradient {
 public:
  GradientSumKernel(const TensorDesc& desc, std::size_t branches, const CudaContext& context)
      : CudaKernel(context), elements_(desc.shape.elements()), count_(branches) {
    needs_.inputs = {desc.format()};
    needs_.output = desc.format();
    needs_.output_is_input = true;
    if (branches > most_branches) {
      throw Error("a value is read by " + std::to_string(branches) + " layers; on a CUDA device at most " +
                  std::to_string(most_branches) + " may");
    }
    const auto count = static_cast<double>(elements_) * static_cast<double>(branches);
    backward_report_ = {"",
                        "gradient sum",
                        "own",
                        cuda_format_name(desc.format()),
                        0,
                        count - static_cast<double>(elements_),
                        static_cast<double>(size_of(desc.type)) * (count + static_cast<double>(elements_))};
  }

  void forward(const StepContext& /*step*/) override {}

  void backward(const StepContext& /*step*/) override {
    if (needs_.leaves_branches) return;
    with_branches<Element>(branches(), [&]<int known>(const Branches<Element, known>& all) {
      const Summing<Element, known> summing{all, static_cast<Element*>(bound_.output_gradient)};
      launch_each_pack<Element>(context_, "gradient sum", elements_, summing);
    });
  }

  void leave_to(BranchReader& writer) override {
    if (!writer.take(*this)) return;
    needs_.leaves_branches = true;
    backward_report_ = {};
  }
  [[nodiscard]] std::size_t count() const override { return count_; }
  [[nodiscard]] std::span<void* const> branches() const override { return bound_.input_gradients; }

 private:
  std::int64_t elements_;
  std::size_t count_;
};

}  // namespace

std::unique_ptr<Kernel> make_cuda_gradient_sum(const TensorDesc& desc, std::size_t branches,
                                               const CudaContext& context) {
  return with_element(desc.type, [&]<class Element>(Element /*type*/) -> std::unique_ptr<Kernel> {
    return std::make_unique<GradientSumKernel<Element>>(desc, branches, context);
  });
}

}  // namespace descent
