// One direction of a convolution between two of our layouts, by the library or by kernels of our own. The
// weights stay plain outside; inside they take the order that the implementation wants.
#pragma once

#include "cpu/context.h"
#include "cpu/onednn.h"
#include "descent/ops.h"
#include "plan/measured_names.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace descent {

struct ConvProblem {
  Conv op;
  Shape source;       // N×C×H×W
  Shape destination;  // N×O×H×W
  DType type = DType::f32;
  // Inference: the weights stay as they are from call to call, and the sums go on with a sum with a tensor in
  // the destination's layout, then an activation.
  bool inference = false;
  bool adds = false;
  std::optional<GeneralRelu> activation{};

  [[nodiscard]] Shape weights() const {
    return {op.out, source[1] / op.groups, op.kernel.height, op.kernel.width};
  }
  // Multiplications and additions of one direction computed directly, padded taps counted.
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
  virtual ~ConvPart() = default;
  ConvPart() = default;
  ConvPart(const ConvPart&) = delete;
  ConvPart& operator=(const ConvPart&) = delete;

  // Addresses: source and destination are gradients where the direction says so. `weights` and `bias` are
  // plain; backward_weights writes them. What the direction has no use for is not read. `inner` holds
  // inner_bytes() between derive() and run().
  struct Addresses {
    void* source = nullptr;
    void* destination = nullptr;
    void* weights = nullptr;
    void* bias = nullptr;
    void* inner = nullptr;
    void* scratchpad = nullptr;
    void* residual = nullptr;  // where the problem adds one
  };
  virtual void bind(const Addresses& addresses) = 0;

  // Brings the weights into the inner order; forward and backward_data, after weights changed.
  virtual void derive() const = 0;
  virtual void run() const = 0;

  [[nodiscard]] virtual std::size_t inner_bytes() const = 0;  // 0: run() takes the plain weights
  [[nodiscard]] virtual std::size_t scratchpad_bytes() const = 0;
  [[nodiscard]] virtual double flops() const = 0;  // that it really computes
  [[nodiscard]] virtual const std::string& implementation() const = 0;
};

// What parts are made with; need not outlive the call.
struct ConvTools {
  const Onednn& onednn;
  CpuContext context;
};

// Nothing if there is no such implementation, or only reference code.
[[nodiscard]] std::unique_ptr<ConvPart> make_conv_part(const ConvTools& tools, const ConvProblem& problem,
                                                       Direction direction, const ConvChoice& choice);
// The same for a choice that a plan has made: throws Error if there is none.
[[nodiscard]] std::unique_ptr<ConvPart> make_chosen_conv_part(const ConvTools& tools,
                                                              const ConvProblem& problem, Direction direction,
                                                              const ConvChoice& choice);

// By the library.
[[nodiscard]] std::unique_ptr<ConvPart> make_library_part(const Onednn& onednn, const ConvProblem& problem,
                                                          Direction direction, const ConvChoice& choice);
// Names of what it can make for the choice's layouts, the library's first choice first, at most `most`; at a
// fraction of its cost: no code is generated.
[[nodiscard]] std::vector<std::string> library_implementations(const Onednn& onednn, const ConvProblem& problem,
                                                               Direction direction, const ConvChoice& choice,
                                                               std::size_t most);

// By Winograd's algorithm (cpu/winograd.h).
inline constexpr std::string_view winograd_name = "winograd";
[[nodiscard]] bool suits_winograd(const ConvProblem& problem, Direction direction, const ConvChoice& choice);
[[nodiscard]] std::unique_ptr<ConvPart> make_winograd_part(const CpuContext& context,
                                                           const ConvProblem& problem, Direction direction,
                                                           const ConvChoice& choice);

}  // namespace descent
