// One direction of a convolution through oneDNN, between two of our layouts. The weights stay plain
// outside; inside they take the layout that the library wants.
#pragma once

#include "cpu/onednn.h"
#include "descent/ops.h"
#include "plan/measured_names.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace descent {

struct ConvProblem {
  Conv op;
  Shape source;       // N×C×H×W
  Shape destination;  // N×O×H×W
  DType type = DType::f32;
  // Inference: the weights stay as they are from call to call, and the primitive goes on with the sum with a
  // tensor in the destination's layout, then an activation.
  bool inference = false;
  bool adds = false;
  std::optional<GeneralRelu> activation{};

  [[nodiscard]] Shape weights() const {
    return {op.out, source[1] / op.groups, op.kernel.height, op.kernel.width};
  }
  // Multiplications and additions of one direction, padded taps counted.
  [[nodiscard]] double flops() const;
};

// How a direction is computed; what measurements choose.
struct ConvChoice {
  Layout source = nchw;
  Layout destination = nchw;
  // By name: the library's list has another order once it has made one of them (3.2). Empty: its first.
  std::string implementation = {};
  friend bool operator==(const ConvChoice&, const ConvChoice&) = default;
};

class ConvPart {
 public:
  // Nothing if the library has no such implementation, or only reference code.
  [[nodiscard]] static std::optional<ConvPart> make(const Onednn& onednn, const ConvProblem& problem,
                                                    Direction direction, const ConvChoice& choice);

  // The same for a choice that a plan has made: throws Error if there is none.
  [[nodiscard]] static ConvPart make_chosen(const Onednn& onednn, const ConvProblem& problem,
                                            Direction direction, const ConvChoice& choice);

  // Names of what make() can make for the choice's layouts, the library's first choice first, at most `most`;
  // at a fraction of its cost: no code is generated.
  [[nodiscard]] static std::vector<std::string> implementations(const Onednn& onednn,
                                                                const ConvProblem& problem, Direction direction,
                                                                const ConvChoice& choice, std::size_t most);

  // Addresses: source and destination are gradients where the direction says so. `weights` and `bias` are
  // plain; backward_weights writes them. `inner` holds inner_bytes() between derive() and run().
  struct Addresses {
    void* source = nullptr;
    void* destination = nullptr;
    void* weights = nullptr;
    void* bias = nullptr;
    void* inner = nullptr;
    void* scratchpad = nullptr;
    void* residual = nullptr;  // where the problem adds one
  };
  void bind(const Addresses& addresses);

  // Reorders the weights into the inner layout; forward and backward_data, after weights changed.
  void derive(const Onednn& onednn) const;
  void run(const Onednn& onednn) const;

  [[nodiscard]] std::size_t inner_bytes() const;  // 0: the weights are used where they are
  [[nodiscard]] std::size_t scratchpad_bytes() const;
  [[nodiscard]] const std::string& implementation() const { return implementation_; }

 private:
  ConvPart() = default;
  struct Names {
    std::size_t most = 0;
    std::vector<std::string> of;
  };
  // With `names` lists those of all implementations and makes nothing.
  [[nodiscard]] static std::optional<ConvPart> build(const Onednn& onednn, const ConvProblem& problem,
                                                     Direction direction, const ConvChoice& choice,
                                                     Names* names);

  Direction direction_ = Direction::forward;
  dnnl::memory source_;
  dnnl::memory destination_;
  dnnl::memory weights_;  // inner
  dnnl::memory bias_;
  dnnl::memory residual_;
  dnnl::memory scratchpad_;
  Call call_;
  std::optional<Reorder> weights_reorder_;
  std::string implementation_;
  bool has_bias_ = false;
  bool adds_ = false;
};

}  // namespace descent
