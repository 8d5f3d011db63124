#include "op_cases.h"

#include "network_builder.h"

#include <algorithm>
#include <initializer_list>
#include <type_traits>
#include <utility>

namespace descent::test {

namespace {

constexpr Mode infer = Mode::infer;

std::string text_of(std::int64_t value) {
  return std::to_string(value);
}
std::string text_of(bool value) {
  return value ? "yes" : "no";
}
std::string text_of(double value) {
  return std::to_string(value);
}
std::string text_of(const Extent& value) {
  return text_of(value.height) + "×" + text_of(value.width);
}
std::string text_of(const std::optional<double>& value) {
  return value ? text_of(*value) : "none";
}

// "conv (out 8, stride 2×2)": the options that differ from the defaults.
std::string describe(const Op& op) {
  return std::visit(
      [](auto alternative) {
        using Alternative = decltype(alternative);
        std::string options;
        Alternative defaults;
        std::vector<std::string> usual;
        Alternative::fields(defaults, [&](const char*, auto& value) { usual.push_back(text_of(value)); });
        std::size_t i = 0;
        Alternative::fields(alternative, [&](const char* option, auto& value) {
          const std::string text = text_of(value);
          if (text != usual[i++]) options += (options.empty() ? "" : ", ") + std::string(option) + " " + text;
        });
        return std::string(Alternative::name) + (options.empty() ? "" : " (" + options + ")");
      },
      op);
}

class Table {
 public:
  // A chain of layers on an input without batch; the row belongs to `operation`.
  OpCase& chain(std::string_view operation, const Shape& input, std::initializer_list<Op> ops,
                std::int64_t batch, Mode mode = Mode::train) {
    NetworkBuilder builder(input);
    std::string name = to_string(input.with_batch(batch));
    for (const Op& op : ops) {
      builder.add(op);
      name += " → " + describe(op);
    }
    return row(operation, name, builder.build(), batch, mode);
  }

  // A row of one layer.
  OpCase& one(const Shape& input, const Op& op, std::int64_t batch, Mode mode = Mode::train) {
    return chain(descent::name(op), input, {op}, batch, mode);
  }

  // One layer on features: N×C.
  OpCase& features(std::int64_t count, const Op& op, std::int64_t batch, Mode mode = Mode::train) {
    return chain(descent::name(op), {count, 1, 1}, {Flatten{}, op}, batch, mode);
  }

  OpCase& row(std::string_view operation, std::string name, Network network, std::int64_t batch,
              Mode mode = Mode::train) {
    if (mode == Mode::infer) name += ", infer";
    OpCase added;
    added.operation = operation;
    added.name = std::move(name);
    added.network = std::move(network);
    added.batch = batch;
    added.mode = mode;
    added.seed = 1000 + rows_.size();
    return rows_.emplace_back(std::move(added));
  }

  [[nodiscard]] std::vector<OpCase> rows() && { return std::move(rows_); }

 private:
  std::vector<OpCase> rows_;
};

void add_conv(Table& table) {
  // The seed's five, with full, partial and single batches.
  table.one({1, 28, 28}, Conv{.out = 8, .stride = {2, 2}, .padding = {1, 1}}, 5);
  table.one({8, 14, 14}, Conv{.out = 16, .stride = {2, 2}, .padding = {1, 1}}, 5);
  table.one({16, 7, 7}, Conv{.out = 32, .stride = {2, 2}, .padding = {1, 1}}, 38);
  table.one({32, 4, 4}, Conv{.out = 64, .stride = {2, 2}, .padding = {1, 1}}, 19);
  table.one({64, 2, 2}, Conv{.out = 10, .stride = {2, 2}, .padding = {1, 1}}, 19);
  table.one({1, 28, 28}, Conv{.out = 8, .stride = {2, 2}, .padding = {1, 1}}, 1);
  // Channels and odd sizes.
  table.one({1, 5, 7}, Conv{.out = 1}, 1);
  table.one({3, 9, 11}, Conv{.out = 8, .padding = {1, 1}}, 5);
  table.one({3, 9, 11}, Conv{.out = 17, .padding = {1, 1}}, 1);
  table.one({8, 9, 5}, Conv{.out = 3, .padding = {1, 1}}, 5);
  table.one({10, 6, 5}, Conv{.out = 17, .stride = {2, 2}, .padding = {1, 1}}, 5);
  table.one({17, 7, 5}, Conv{.out = 10, .padding = {1, 1}}, 3);
  table.one({16, 8, 8}, Conv{.out = 16, .padding = {1, 1}, .bias = false}, 2);
  table.one({32, 5, 5}, Conv{.out = 32, .padding = {1, 1}, .bias = false}, 3);
  // What Winograd's algorithm takes: tiles that reach over the edges, several blocks of channels, any padding.
  table.one({16, 9, 11}, Conv{.out = 48, .padding = {1, 1}, .bias = false}, 1);
  table.one({32, 7, 6}, Conv{.out = 16, .bias = false}, 3);
  table.one({16, 3, 10}, Conv{.out = 32, .padding = {2, 0}}, 2);
  // Kernels.
  table.one({3, 6, 7}, Conv{.out = 8, .kernel = {1, 1}}, 5);
  table.one({16, 7, 7}, Conv{.out = 32, .kernel = {1, 1}, .bias = false}, 4);
  table.one({17, 5, 3}, Conv{.out = 8, .kernel = {1, 1}, .stride = {2, 2}}, 5);
  table.one({1, 12, 13}, Conv{.out = 16, .kernel = {5, 5}, .padding = {2, 2}}, 3);
  table.one({3, 16, 15}, Conv{.out = 10, .kernel = {7, 7}, .stride = {2, 2}, .padding = {3, 3}}, 2);
  table.one({8, 9, 8}, Conv{.out = 8, .kernel = {1, 5}, .padding = {0, 2}}, 5);
  table.one({8, 9, 8}, Conv{.out = 8, .kernel = {5, 1}, .padding = {2, 0}}, 5);
  table.one({3, 10, 9}, Conv{.out = 10, .kernel = {2, 4}, .stride = {1, 2}, .padding = {1, 0}}, 5);
  table.one({10, 4, 4}, Conv{.out = 8, .kernel = {4, 4}}, 5);
  // Strides and padding.
  table.one({8, 11, 7}, Conv{.out = 8, .stride = {2, 1}, .padding = {1, 1}}, 5);
  table.one({8, 11, 7}, Conv{.out = 8, .stride = {3, 2}, .padding = {0, 1}}, 5);
  table.one({3, 8, 8}, Conv{.out = 3, .stride = {3, 3}, .padding = {2, 2}}, 19);
  table.one({8, 10, 10}, Conv{.out = 16, .kernel = {2, 2}, .stride = {4, 4}}, 5);  // skips cells
  table.one({16, 1, 1}, Conv{.out = 16, .padding = {1, 1}}, 5);
  // Dilation.
  table.one({8, 9, 9}, Conv{.out = 8, .padding = {2, 2}, .dilation = {2, 2}}, 3);
  table.one({3, 11, 12}, Conv{.out = 10, .stride = {2, 2}, .dilation = {3, 2}}, 5);
  table.one({16, 9, 8}, Conv{.out = 16, .padding = {1, 3}, .dilation = {1, 3}, .bias = false}, 2);
  // Groups, depthwise among them.
  table.one({8, 7, 7}, Conv{.out = 8, .padding = {1, 1}, .groups = 2}, 5);
  table.one({9, 6, 7}, Conv{.out = 6, .padding = {1, 1}, .groups = 3}, 5);
  table.one({8, 8, 7}, Conv{.out = 8, .padding = {1, 1}, .groups = 8}, 5);
  table.one({17, 7, 6}, Conv{.out = 17, .stride = {2, 2}, .padding = {1, 1}, .groups = 17, .bias = false}, 3);
  table.one({10, 5, 5}, Conv{.out = 20, .padding = {1, 1}, .groups = 10}, 5);
  table.one({32, 6, 6}, Conv{.out = 32, .padding = {1, 1}, .groups = 2, .bias = false}, 2);
  // Inference, and convolutions in a row whose layouts may differ.
  table.one({3, 9, 11}, Conv{.out = 8, .padding = {1, 1}}, 5, infer);
  table.one({16, 7, 7}, Conv{.out = 32, .stride = {2, 2}, .padding = {1, 1}}, 1, infer);
  table.one({10, 6, 6}, Conv{.out = 10, .padding = {1, 1}, .groups = 10}, 5, infer);
  table.chain("conv", {3, 8, 8}, {Conv{.out = 16, .padding = {1, 1}}, Conv{.out = 3, .kernel = {1, 1}}}, 4);
  table.chain("conv", {16, 6, 6},
              {Conv{.out = 32, .padding = {1, 1}}, GeneralRelu{.leak = 0.1, .sub = 0.4},
               Conv{.out = 16, .stride = {2, 2}, .padding = {1, 1}}},
              3);
}

void add_batch_norm(Table& table) {
  table.one({1, 5, 7}, BatchNorm{}, 5);
  table.one({3, 4, 5}, BatchNorm{}, 1);
  table.one({8, 14, 14}, BatchNorm{}, 5);
  table.one({10, 3, 3}, BatchNorm{.eps = 1e-3, .momentum = 0.3}, 5);
  table.one({16, 7, 7}, BatchNorm{}, 19);
  table.one({17, 3, 5}, BatchNorm{}, 5);
  table.one({32, 4, 4}, BatchNorm{.momentum = 0.01}, 38);
  table.one({64, 2, 2}, BatchNorm{}, 5);
  table.one({8, 1, 1}, BatchNorm{}, 5);
  table.one({3, 2, 2}, BatchNorm{.momentum = 1}, 2);
  table.features(1, BatchNorm{}, 5);
  table.features(3, BatchNorm{.eps = 1e-2}, 5);
  table.features(10, BatchNorm{}, 19);
  table.features(17, BatchNorm{.momentum = 0.5}, 38);
  table.features(64, BatchNorm{}, 5);
  table.one({1, 5, 7}, BatchNorm{}, 1, infer);
  table.one({8, 6, 6}, BatchNorm{}, 5, infer);
  table.one({17, 3, 5}, BatchNorm{.eps = 1e-3}, 3, infer);
  table.one({32, 4, 4}, BatchNorm{}, 5, infer);
  table.features(1, BatchNorm{}, 1, infer);
  table.features(3, BatchNorm{}, 5, infer);
  table.features(10, BatchNorm{}, 1, infer);
  table.features(17, BatchNorm{.eps = 1e-2}, 19, infer);
  table.features(64, BatchNorm{}, 5, infer);
  const Conv conv{.out = 8, .padding = {1, 1}, .bias = false};
  table.chain("batch_norm", {3, 7, 7}, {conv, BatchNorm{}}, 5);
  table.chain("batch_norm", {3, 7, 7}, {conv, BatchNorm{}, GeneralRelu{.leak = 0.1, .sub = 0.4}}, 5);
  table.chain("batch_norm", {3, 7, 7}, {conv, BatchNorm{}, GeneralRelu{}}, 5, infer);
  table.chain("batch_norm", {16, 5, 5}, {Conv{.out = 32, .padding = {1, 1}}, BatchNorm{}, GeneralRelu{}}, 5);
  table.chain("batch_norm", {16, 5, 5}, {Conv{.out = 32, .padding = {1, 1}}, BatchNorm{}}, 3, infer);
  table.chain("batch_norm", {10, 1, 1}, {Flatten{}, Linear{.out = 17, .bias = false}, BatchNorm{}}, 19);
}

void add_general_relu(Table& table) {
  table.one({1, 5, 7}, GeneralRelu{}, 1);
  table.one({3, 7, 5}, GeneralRelu{.leak = 0.1}, 5);
  table.one({8, 4, 4}, GeneralRelu{.leak = 0.1, .sub = 0.4}, 5);
  table.one({10, 3, 3}, GeneralRelu{.sub = 0.5}, 19);
  table.one({17, 3, 3}, GeneralRelu{.maxv = 1.0}, 5);
  table.one({8, 5, 3}, GeneralRelu{.leak = 0.2, .sub = 0.3, .maxv = 0.6}, 38);
  table.one({16, 4, 4}, GeneralRelu{.leak = 0.1, .sub = 0.4, .maxv = 0.25}, 1);
  table.one({3, 5, 5}, GeneralRelu{.leak = 0.1, .maxv = -0.05}, 5);  // clamps on the leaky side, too
  table.one({3, 5, 5}, GeneralRelu{.leak = 1.5}, 5);
  table.features(10, GeneralRelu{.leak = 0.1, .sub = 0.4}, 5);
  table.features(17, GeneralRelu{}, 1);
  table.one({3, 7, 5}, GeneralRelu{.leak = 0.1}, 5, infer);
  table.one({16, 4, 4}, GeneralRelu{.leak = 0.1, .sub = 0.4, .maxv = 0.25}, 3, infer);
  table.one({3, 7, 5}, GeneralRelu{.leak = 0.1, .sub = 0.4}, 5).input = OpCase::Input::ties;
  table.one({10, 3, 3}, GeneralRelu{.leak = 0.1, .sub = 0.5, .maxv = 0.5}, 5).input = OpCase::Input::ties;
  table.chain("general_relu", {8, 5, 5}, {GeneralRelu{.leak = 0.1, .sub = 0.4}, GeneralRelu{.maxv = 0.5}}, 5);
  table.chain("general_relu", {3, 6, 6},
              {Conv{.out = 16, .padding = {1, 1}}, GeneralRelu{.leak = 0.1, .sub = 0.4}}, 5);
  // Two readers: an activation in place must not spoil the other one's input.
  NetworkBuilder fork({8, 5, 5});
  const ValueId conv = fork.add(Conv{.out = 8, .padding = {1, 1}});
  const ValueId left = fork.add(GeneralRelu{.leak = 0.1, .sub = 0.4}, {conv});
  const ValueId right = fork.add(GeneralRelu{.maxv = 0.7}, {conv});
  fork.add(Add{}, {left, right});
  table.row("general_relu", "two activations of one value, batch 5", fork.build(), 5);
  table.row("general_relu", "two activations of one value, batch 3", fork.build(), 3, infer);
}

void add_linear(Table& table) {
  table.features(1, Linear{.out = 1}, 1);
  table.features(1, Linear{.out = 10}, 5);
  table.features(3, Linear{.out = 8}, 5);
  table.features(8, Linear{.out = 17}, 19);
  table.features(10, Linear{.out = 3, .bias = false}, 5);
  table.features(17, Linear{.out = 10}, 1);
  table.features(64, Linear{.out = 10}, 38);
  table.features(100, Linear{.out = 33, .bias = false}, 5);
  table.features(17, Linear{.out = 1}, 19);
  table.features(10, Linear{.out = 16}, 5, infer);
  table.features(17, Linear{.out = 10, .bias = false}, 1, infer);
  table.chain("linear", {8, 3, 3}, {Flatten{}, Linear{.out = 10}}, 5);
  table.chain("linear", {3, 5, 3}, {Flatten{}, Linear{.out = 17}, GeneralRelu{.leak = 0.1}, Linear{.out = 3}},
              5);
  table.chain("linear", {16, 4, 4}, {Conv{.out = 32, .padding = {1, 1}}, Flatten{}, Linear{.out = 10}}, 3);
}

void add_avg_pool(Table& table) {
  table.one({1, 6, 8}, AvgPool{}, 1);
  table.one({3, 7, 9}, AvgPool{}, 5);
  table.one({3, 7, 9}, AvgPool{.ceil_mode = true}, 5);
  table.one({8, 3, 3}, AvgPool{.ceil_mode = true}, 19);
  table.one({16, 7, 7}, AvgPool{.ceil_mode = true}, 5);
  table.one({17, 5, 7}, AvgPool{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, 5);
  table.one({10, 6, 6}, AvgPool{.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}}, 5);
  table.one({8, 8, 9}, AvgPool{.kernel = {2, 3}, .stride = {2, 1}, .padding = {0, 1}, .ceil_mode = true}, 3);
  table.one({3, 9, 9}, AvgPool{.kernel = {2, 2}, .stride = {3, 3}, .ceil_mode = true}, 5);
  table.one({3, 8, 8}, AvgPool{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true}, 38);
  table.one({32, 4, 4}, AvgPool{.kernel = {4, 4}, .stride = {4, 4}}, 5);
  table.one({1, 5, 1}, AvgPool{.kernel = {2, 1}, .stride = {2, 1}}, 5);
  table.one({10, 7, 5}, AvgPool{.ceil_mode = true}, 5, infer);
  table.one({17, 5, 7}, AvgPool{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, 1, infer);
  table.chain("avg_pool", {3, 7, 7}, {Conv{.out = 16, .padding = {1, 1}}, AvgPool{.ceil_mode = true}}, 5);
}

void add_max_pool(Table& table) {
  table.one({1, 6, 8}, MaxPool{}, 1);
  table.one({3, 7, 9}, MaxPool{}, 5);
  table.one({3, 7, 9}, MaxPool{.ceil_mode = true}, 5);
  table.one({8, 3, 3}, MaxPool{.ceil_mode = true}, 19);
  table.one({17, 5, 7}, MaxPool{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, 5);
  table.one({10, 6, 6}, MaxPool{.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}}, 5);
  table.one({8, 8, 9}, MaxPool{.kernel = {2, 3}, .stride = {2, 1}, .padding = {0, 1}, .ceil_mode = true}, 3);
  table.one({3, 9, 9}, MaxPool{.kernel = {2, 2}, .stride = {3, 3}, .ceil_mode = true}, 5);
  table.one({3, 8, 8}, MaxPool{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true}, 38);
  table.one({32, 4, 4}, MaxPool{.kernel = {4, 4}, .stride = {4, 4}}, 5);
  table.one({8, 6, 6}, MaxPool{.kernel = {3, 3}, .stride = {2, 2}}, 5).input = OpCase::Input::ties;
  table.one({16, 5, 5}, MaxPool{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, 5).input =
      OpCase::Input::ties;
  table.one({10, 7, 5}, MaxPool{.ceil_mode = true}, 5, infer);
  table.one({17, 5, 7}, MaxPool{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, 1, infer);
  table.chain("max_pool", {3, 12, 11},
              {Conv{.out = 16, .padding = {1, 1}}, GeneralRelu{.leak = 0.1},
               MaxPool{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}},
              3);
}

void add_global_avg_pool(Table& table) {
  table.one({1, 5, 7}, GlobalAvgPool{}, 1);
  table.one({3, 7, 7}, GlobalAvgPool{}, 5);
  table.one({8, 2, 2}, GlobalAvgPool{}, 19);
  table.one({10, 1, 1}, GlobalAvgPool{}, 5);
  table.one({17, 3, 5}, GlobalAvgPool{}, 5);
  table.one({32, 4, 4}, GlobalAvgPool{}, 38);
  table.one({64, 1, 3}, GlobalAvgPool{}, 5);
  table.one({8, 9, 8}, GlobalAvgPool{}, 5, infer);
  table.one({17, 3, 5}, GlobalAvgPool{}, 1, infer);
  table.chain("global_avg_pool", {3, 6, 5},
              {Conv{.out = 16, .padding = {1, 1}}, GlobalAvgPool{}, Flatten{}, Linear{.out = 10}}, 5);
}

void add_add(Table& table) {
  const auto residual = [](const Shape& input, const Op& left, const Op& right) {
    NetworkBuilder builder(input);
    const ValueId a = builder.add(left, {0});
    const ValueId b = builder.add(right, {0});
    builder.add(Add{}, {a, b});
    return builder;
  };
  const Conv same8{.out = 8, .padding = {1, 1}};
  table.row("add", "two convolutions of the input, batch 5", residual({3, 7, 7}, same8, same8).build(), 5);
  table.row("add", "two convolutions of the input, batch 1", residual({1, 5, 7}, same8, same8).build(), 1);
  table.row("add", "1×1 and 3×3 convolutions, 17 channels, batch 3",
            residual({17, 5, 6}, Conv{.out = 17, .padding = {1, 1}}, Conv{.out = 17, .kernel = {1, 1}}).build(),
            3);
  table.row(
      "add", "depthwise and dense convolutions, batch 5",
      residual({10, 5, 6}, Conv{.out = 10, .padding = {1, 1}, .groups = 10}, Conv{.out = 10, .kernel = {1, 1}})
          .build(),
      5);
  table.row("add", "activation and batch norm, batch 19",
            residual({8, 4, 4}, GeneralRelu{.leak = 0.1, .sub = 0.4}, BatchNorm{}).build(), 19);
  table.row("add", "two pools, batch 5",
            residual({10, 5, 7}, AvgPool{.ceil_mode = true}, MaxPool{.ceil_mode = true}).build(), 5);

  NetworkBuilder identity({16, 5, 5});  // the input itself is one summand
  identity.add(Conv{.out = 16, .padding = {1, 1}});
  identity.add(Add{}, {1, 0});
  identity.add(GeneralRelu{});
  table.row("add", "convolution plus its input, batch 5", identity.build(), 5);
  table.row("add", "convolution plus its input, batch 1", identity.build(), 1, infer);

  NetworkBuilder three({8, 5, 5});  // one value, three readers
  const ValueId stem = three.add(Conv{.out = 8, .padding = {1, 1}});
  const ValueId first = three.add(GeneralRelu{.leak = 0.1}, {stem});
  const ValueId second = three.add(Conv{.out = 8, .kernel = {1, 1}}, {stem});
  const ValueId sum = three.add(Add{}, {first, second});
  three.add(Add{}, {sum, stem});
  table.row("add", "a value with three readers, batch 5", three.build(), 5);
  table.row("add", "a value with three readers, batch 3", three.build(), 3, infer);

  NetworkBuilder twice({3, 5, 7});
  const ValueId value = twice.add(Conv{.out = 10, .padding = {1, 1}});
  twice.add(Add{}, {value, value});
  table.row("add", "a value plus itself, batch 5", twice.build(), 5);

  NetworkBuilder chain({8, 6, 6});  // two residual blocks, the second with a stride and a projection
  ValueId x = 0;
  ValueId main = chain.add(Conv{.out = 8, .padding = {1, 1}, .bias = false}, {x});
  main = chain.add(BatchNorm{}, {main});
  main = chain.add(GeneralRelu{}, {main});
  x = chain.add(Add{}, {main, x});
  main = chain.add(Conv{.out = 16, .stride = {2, 2}, .padding = {1, 1}, .bias = false}, {x});
  main = chain.add(BatchNorm{}, {main});
  const ValueId skip = chain.add(AvgPool{.ceil_mode = true}, {x});
  const ValueId projected = chain.add(Conv{.out = 16, .kernel = {1, 1}}, {skip});
  x = chain.add(Add{}, {main, projected});
  chain.add(GeneralRelu{.leak = 0.1, .sub = 0.4}, {x});
  table.row("add", "two residual blocks, batch 5", chain.build(), 5);
  table.row("add", "two residual blocks, batch 1", chain.build(), 1, infer);

  NetworkBuilder flat({10, 1, 1});
  const ValueId features = flat.add(Flatten{});
  const ValueId a = flat.add(Linear{.out = 17}, {features});
  const ValueId b = flat.add(Linear{.out = 17, .bias = false}, {features});
  flat.add(Add{}, {a, b});
  table.row("add", "two linear layers, batch 19", flat.build(), 19);
}

// Runs that an inference plan may compute as one kernel.
void add_runs(Table& table) {
  const auto run = [&](const Shape& input, const Conv& conv, const GeneralRelu& activation,
                       std::int64_t batch) {
    table.chain("conv", input, {conv, BatchNorm{}, activation}, batch, infer);
  };
  const GeneralRelu relu{};
  const GeneralRelu leaky{.leak = 0.1, .sub = 0.4};
  const GeneralRelu limited{.leak = 0.1, .sub = 0.4, .maxv = 0.5};
  run({1, 28, 28}, {.out = 8, .stride = {2, 2}, .padding = {1, 1}}, leaky, 1);
  run({1, 28, 28}, {.out = 8, .stride = {2, 2}, .padding = {1, 1}}, leaky, 48);
  run({8, 14, 14}, {.out = 16, .stride = {2, 2}, .padding = {1, 1}}, leaky, 1);
  run({16, 7, 7}, {.out = 32, .stride = {2, 2}, .padding = {1, 1}}, limited, 32);
  run({32, 4, 4}, {.out = 64, .stride = {2, 2}, .padding = {1, 1}}, relu, 3);
  run({16, 5, 5}, {.out = 128, .padding = {1, 1}}, leaky, 2);
  run({3, 19, 17}, {.out = 64, .kernel = {7, 7}, .stride = {2, 2}, .padding = {3, 3}, .bias = false}, relu, 2);
  run({17, 6, 7}, {.out = 33, .padding = {1, 1}, .bias = false}, limited, 5);
  run({10, 7, 9}, {.out = 10, .padding = {2, 2}, .dilation = {2, 2}}, leaky, 5);
  run({16, 9, 8}, {.out = 16, .stride = {2, 1}, .padding = {1, 3}, .dilation = {1, 3}}, leaky, 3);
  run({8, 7, 7}, {.out = 8, .padding = {1, 1}, .groups = 2}, leaky, 5);
  run({9, 6, 7}, {.out = 6, .padding = {1, 1}, .groups = 3}, limited, 5);
  run({32, 6, 6}, {.out = 32, .padding = {1, 1}, .groups = 32, .bias = false}, relu, 2);
  run({16, 7, 7}, {.out = 32, .kernel = {1, 1}, .bias = false}, relu, 4);
  run({64, 1, 1}, {.out = 10, .kernel = {1, 1}}, leaky, 5);
  table.chain("conv", {16, 7, 7}, {Conv{.out = 17, .padding = {1, 1}}, BatchNorm{}}, 5, infer);
  table.chain("conv", {16, 7, 7}, {Conv{.out = 17, .padding = {1, 1}}, leaky}, 5, infer);
  table.chain("conv", {3, 12, 12},
              {Conv{.out = 16, .padding = {1, 1}}, BatchNorm{}, relu, MaxPool{},
               Conv{.out = 10, .padding = {1, 1}}, limited, Flatten{}, Linear{.out = 7}},
              16, infer);
  table.chain("linear", {10, 2, 2}, {Flatten{}, Linear{.out = 17, .bias = false}, BatchNorm{}, leaky}, 5,
              infer);
  table.chain("linear", {10, 2, 2}, {Flatten{}, Linear{.out = 17}, relu}, 1, infer);

  // With a residual sum: the input itself, another branch, and both orders of the summands.
  for (const std::int64_t batch : {1, 3, 32}) {
    NetworkBuilder same({16, 5, 6});
    same.add(Conv{.out = 16, .padding = {1, 1}, .bias = false});
    same.add(BatchNorm{});
    same.add(Add{}, {2, 0});
    same.add(leaky);
    table.row("add", "convolution, batch norm, sum with the input, activation, batch " + std::to_string(batch),
              same.build(), batch, infer);

    NetworkBuilder down({10, 7, 6});
    ValueId main = down.add(Conv{.out = 17, .stride = {2, 2}, .padding = {1, 1}, .bias = false});
    main = down.add(BatchNorm{}, {main});
    ValueId side = down.add(Conv{.out = 17, .kernel = {1, 1}, .stride = {2, 2}}, {0});
    side = down.add(BatchNorm{}, {side});
    down.add(Add{}, {main, side});
    down.add(limited);
    table.row("add", "two branches with batch norm, the second in one run, batch " + std::to_string(batch),
              down.build(), batch, infer);
  }
}

void add_flatten(Table& table) {
  table.one({1, 5, 7}, Flatten{}, 1);
  table.one({3, 7, 5}, Flatten{}, 5);
  table.one({10, 1, 1}, Flatten{}, 19);
  table.one({17, 2, 3}, Flatten{}, 5);
  table.one({32, 2, 2}, Flatten{}, 3, infer);
  table.chain("flatten", {3, 5, 5}, {Conv{.out = 8, .padding = {1, 1}}, Flatten{}}, 5);
  table.chain("flatten", {16, 4, 4}, {Conv{.out = 32, .padding = {1, 1}}, Flatten{}}, 5);
  table.chain("flatten", {16, 4, 4}, {Conv{.out = 16, .padding = {1, 1}}, Flatten{}, GeneralRelu{.leak = 0.1}},
              3);
  table.chain("flatten", {17, 3, 3}, {MaxPool{.ceil_mode = true}, Flatten{}, Linear{.out = 10}}, 5);
  table.chain("flatten", {16, 3, 3}, {GeneralRelu{.leak = 0.1}, Flatten{}, Linear{.out = 3}}, 1, infer);
  NetworkBuilder fork({8, 3, 3});  // flattened without a copy, while somebody else reads the unflattened
  const ValueId conv = fork.add(Conv{.out = 8, .padding = {1, 1}});
  const ValueId flat = fork.add(Flatten{}, {conv});
  const ValueId relu = fork.add(GeneralRelu{.leak = 0.1, .sub = 0.4}, {conv});
  const ValueId again = fork.add(Flatten{}, {relu});
  fork.add(Add{}, {flat, again});
  table.row("flatten", "a value flattened and activated, batch 5", fork.build(), 5);
}

void add_dropout(Table& table) {
  table.one({1, 5, 7}, Dropout{}, 1);
  table.one({3, 7, 5}, Dropout{.p = 0.1}, 5);
  table.one({8, 4, 4}, Dropout{.p = 0.9}, 5);
  table.one({17, 3, 3}, Dropout{.p = 0}, 5);
  table.features(10, Dropout{.p = 0.3}, 19);
  table.features(17, Dropout{}, 38);
  table.one({1, 5, 7}, Dropout{.channels = true}, 5);
  table.one({3, 7, 5}, Dropout{.p = 0.1, .channels = true}, 5);
  table.one({8, 4, 4}, Dropout{.p = 0.25, .channels = true}, 19);
  table.one({17, 3, 3}, Dropout{.channels = true}, 3);
  table.one({16, 5, 5}, Dropout{.p = 0.75, .channels = true}, 5);
  table.one({3, 7, 5}, Dropout{}, 5, infer);
  table.one({8, 4, 4}, Dropout{.channels = true}, 5, infer);
  table.chain("dropout", {3, 6, 6}, {Conv{.out = 16, .padding = {1, 1}}, Dropout{.p = 0.3}}, 5);
  table.chain("dropout", {3, 6, 6}, {Conv{.out = 16, .padding = {1, 1}}, Dropout{.p = 0.3, .channels = true}},
              5);
  table.chain("dropout", {8, 3, 3}, {Dropout{.p = 0.3}, Flatten{}, Dropout{.p = 0.3}, Linear{.out = 10}}, 5);
}

void add_softmax_cross_entropy(Table& table) {
  const auto with_loss = [](OpCase& row, bool soft = false, OpCase::Input input = OpCase::Input::distinct) {
    row.loss = true;
    row.soft_targets = soft;
    row.input = input;
    row.name += soft ? ", soft targets" : ", one class a row";
    if (input == OpCase::Input::ties) row.name += ", ties";
    if (input == OpCase::Input::large) row.name += ", large logits";
  };
  constexpr std::string_view loss = SoftmaxCrossEntropy::name;
  with_loss(table.chain(loss, {10, 1, 1}, {Flatten{}}, 1));
  with_loss(table.chain(loss, {10, 1, 1}, {Flatten{}}, 5));
  with_loss(table.chain(loss, {3, 1, 1}, {Flatten{}}, 19));
  with_loss(table.chain(loss, {17, 1, 1}, {Flatten{}}, 38));
  with_loss(table.chain(loss, {1, 1, 1}, {Flatten{}}, 3));  // one class: the loss is 0
  with_loss(table.chain(loss, {10, 1, 1}, {Flatten{}}, 5), true);
  with_loss(table.chain(loss, {8, 1, 1}, {Flatten{}}, 19), true);
  with_loss(table.chain(loss, {10, 1, 1}, {Flatten{}}, 5), false, OpCase::Input::ties);
  with_loss(table.chain(loss, {3, 1, 1}, {Flatten{}}, 38), false, OpCase::Input::ties);
  with_loss(table.chain(loss, {10, 1, 1}, {Flatten{}}, 5), false, OpCase::Input::large);
  with_loss(table.chain(loss, {17, 1, 1}, {Flatten{}}, 5), true, OpCase::Input::large);
  with_loss(table.chain(loss, {10, 1, 1}, {Flatten{}}, 5, infer));
  with_loss(table.chain(loss, {17, 1, 1}, {Flatten{}}, 1, infer), true);
  with_loss(table.chain(loss, {8, 3, 3}, {Flatten{}, Linear{.out = 10}}, 5));
  with_loss(table.chain(loss, {3, 8, 8},
                        {Conv{.out = 8, .stride = {2, 2}, .padding = {1, 1}, .bias = false}, BatchNorm{},
                         GeneralRelu{.leak = 0.1, .sub = 0.4}, Conv{.out = 10, .kernel = {4, 4}}, Flatten{}},
                        5));
}

std::vector<OpCase> make_table() {
  Table table;
  add_conv(table);
  add_batch_norm(table);
  add_general_relu(table);
  add_linear(table);
  add_avg_pool(table);
  add_max_pool(table);
  add_global_avg_pool(table);
  add_add(table);
  add_runs(table);
  add_flatten(table);
  add_dropout(table);
  add_softmax_cross_entropy(table);
  return std::move(table).rows();
}

template <std::size_t... index>
std::vector<std::string_view> names_of(std::index_sequence<index...> /*alternatives*/) {
  return {std::variant_alternative_t<index, Op>::name...};
}

}  // namespace

std::vector<std::string_view> operations() {
  return names_of(std::make_index_sequence<std::variant_size_v<Op>>());
}

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> table = make_table();
  return table;
}

std::vector<const OpCase*> op_cases_of(std::string_view operation) {
  std::vector<const OpCase*> rows;
  for (const OpCase& row : op_cases())
    if (row.operation == operation) rows.push_back(&row);
  return rows;
}

bool has_linear(const OpCase& row) {
  return std::any_of(row.network.layers.begin(), row.network.layers.end(),
                     [](const Layer& layer) { return std::holds_alternative<Linear>(layer.op); });
}

}  // namespace descent::test
