// The operations that networks are made of. An operation is plain data: what to compute, not how.
//
// To add one: a struct here and its name in Op (the compiler then lists what is missing), its shape
// rule in src/network/ops.cpp, its kernel in each device's folder, rows in tests/op_cases.cpp.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <variant>

namespace descent {

// Height and width of a window, a step or a margin.
struct Extent {
  std::int64_t height = 1;
  std::int64_t width = 1;
  friend bool operator==(const Extent&, const Extent&) = default;
};

// Marks a field that a network file must give.
inline constexpr std::int64_t required = std::numeric_limits<std::int64_t>::min();

// Each operation lists its fields once, in fields(op, visit): reading and printing network files,
// and everything else that walks over options, follow from that list.

// y[n,o] = Σ w[o,i,kh,kw] · x[n,i,…] + b[o]; as torch.nn.Conv2d. `out` divisible by groups.
struct Conv {
  static constexpr std::string_view name = "conv";
  std::int64_t out = required;  // output channels
  Extent kernel{3, 3};
  Extent stride{1, 1};
  Extent padding{0, 0};
  Extent dilation{1, 1};  // 1: dense
  std::int64_t groups = 1;
  bool bias = true;

  static void fields(auto& op, auto&& visit) {
    visit("out", op.out);
    visit("kernel", op.kernel);
    visit("stride", op.stride);
    visit("padding", op.padding);
    visit("dilation", op.dilation);
    visit("groups", op.groups);
    visit("bias", op.bias);
  }
};

// Over N×C×H×W or N×C; as torch.nn.BatchNorm2d/1d: normalises with the biased variance of the batch,
// keeps the unbiased one: running ← (1−momentum)·running + momentum·batch.
struct BatchNorm {
  static constexpr std::string_view name = "batch_norm";
  double eps = 1e-5;  // inside the root
  double momentum = 0.1;

  static void fields(auto& op, auto&& visit) {
    visit("eps", op.eps);
    visit("momentum", op.momentum);
  }
};

// y = min(leaky(x) − sub, maxv), leaky(x) = x where x > 0, else leak·x. ReLU: leak 0, sub 0.
struct GeneralRelu {
  static constexpr std::string_view name = "general_relu";
  double leak = 0;
  double sub = 0;
  std::optional<double> maxv{};

  static void fields(auto& op, auto&& visit) {
    visit("leak", op.leak);
    visit("sub", op.sub);
    visit("maxv", op.maxv);
  }
};

// y = x·Wᵀ + b over N×C; as torch.nn.Linear.
struct Linear {
  static constexpr std::string_view name = "linear";
  std::int64_t out = required;  // output features
  bool bias = true;

  static void fields(auto& op, auto&& visit) {
    visit("out", op.out);
    visit("bias", op.bias);
  }
};

// Mean over windows, divided by the cells that lie inside the picture. With ceil_mode the output is
// rounded up and the last windows may hang over the edge. As torch.nn.AvgPool2d(count_include_pad=False).
struct AvgPool {
  static constexpr std::string_view name = "avg_pool";
  Extent kernel{2, 2};
  Extent stride{2, 2};
  Extent padding{0, 0};
  bool ceil_mode = false;

  static void fields(auto& op, auto&& visit) {
    visit("kernel", op.kernel);
    visit("stride", op.stride);
    visit("padding", op.padding);
    visit("ceil_mode", op.ceil_mode);
  }
};

// Maximum over windows; the gradient goes to the first maximum in row-major order. torch.nn.MaxPool2d.
struct MaxPool {
  static constexpr std::string_view name = "max_pool";
  Extent kernel{2, 2};
  Extent stride{2, 2};
  Extent padding{0, 0};
  bool ceil_mode = false;

  static void fields(auto& op, auto&& visit) {
    visit("kernel", op.kernel);
    visit("stride", op.stride);
    visit("padding", op.padding);
    visit("ceil_mode", op.ceil_mode);
  }
};

// N×C×H×W → N×C×1×1, the mean of each channel. torch.nn.AdaptiveAvgPool2d(1).
struct GlobalAvgPool {
  static constexpr std::string_view name = "global_avg_pool";
  static void fields(auto& /*op*/, auto&& /*visit*/) {}
};

// Sum of two tensors of the same shape: the end of a residual block.
struct Add {
  static constexpr std::string_view name = "add";
  static void fields(auto& /*op*/, auto&& /*visit*/) {}
};

// N×C×H×W → N×(C·H·W), row-major.
struct Flatten {
  static constexpr std::string_view name = "flatten";
  static void fields(auto& /*op*/, auto&& /*visit*/) {}
};

// Training: y = x · Bernoulli(1−p) / (1−p), one draw an element, or one a channel of a picture
// (torch.nn.Dropout2d). Otherwise the identity.
struct Dropout {
  static constexpr std::string_view name = "dropout";
  double p = 0.5;  // chance to be dropped, in [0, 1)
  bool channels = false;

  static void fields(auto& op, auto&& visit) {
    visit("p", op.p);
    visit("channels", op.channels);
  }
};

// Rows of −Σ t·log softmax(z), and whether arg max z = arg max t (first index on ties): N×2.
// Inputs: logits N×K and target distributions N×K. The loss that is differentiated is the rows' mean.
struct SoftmaxCrossEntropy {
  static constexpr std::string_view name = "softmax_cross_entropy";
  static void fields(auto& /*op*/, auto&& /*visit*/) {}
};

using Op = std::variant<Conv, BatchNorm, GeneralRelu, Linear, AvgPool, MaxPool, GlobalAvgPool, Add, Flatten,
                        Dropout, SoftmaxCrossEntropy>;

[[nodiscard]] inline std::string_view name(const Op& op) {
  return std::visit([](const auto& alternative) { return alternative.name; }, op);
}

// Calls that only one alternative matters to: std::visit(Overloaded{...}, op).
template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <class... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

}  // namespace descent
