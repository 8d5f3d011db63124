// Winograd's convolution against sums in double.
#include "cpu/winograd.h"
#include "bound_plan.h"
#include "compare.h"
#include "cpu/aligned.h"
#include "cpu/conv_part.h"
#include "cpu/device.h"
#include "cpu/winograd_transforms.h"
#include "descent/parameters.h"
#include "network_builder.h"
#include "plan/relu_rule.h"
#include "tolerances.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace descent::test {
namespace {

constexpr std::int64_t taps = 3;

// Numbers that a plain tensor N×C×H×W holds.
struct Plain {
  Shape shape;
  std::vector<float> values;

  explicit Plain(const Shape& of) : shape(of), values(static_cast<std::size_t>(of.elements())) {}
  static Plain random(const Shape& of, unsigned seed) {
    Plain tensor(of);
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    for (float& value : tensor.values) value = normal(generator);
    return tensor;
  }
  [[nodiscard]] std::size_t index(std::int64_t n, std::int64_t c, std::int64_t row, std::int64_t column) const {
    return static_cast<std::size_t>(((n * shape[1] + c) * shape[2] + row) * shape[3] + column);
  }
};

// Where a plain tensor's element lies in the layout.
std::size_t place(const Shape& shape, Layout layout, std::size_t plain) {
  const auto at = static_cast<std::int64_t>(plain);
  const std::int64_t cells = shape[2] * shape[3];
  const std::int64_t block = layout == nhwc ? shape[1] : layout == nchw8c ? 8 : 16;
  const std::int64_t n = at / cells / shape[1];
  const std::int64_t c = at / cells % shape[1];
  return static_cast<std::size_t>(((n * (shape[1] / block) + c / block) * cells + at % cells) * block +
                                  c % block);
}

AlignedBytes in_layout(const Plain& tensor, Layout layout) {
  AlignedBytes bytes(tensor.values.size() * sizeof(float));
  auto* const to = static_cast<float*>(bytes.data());
  for (std::size_t i = 0; i < tensor.values.size(); ++i) to[place(tensor.shape, layout, i)] = tensor.values[i];
  return bytes;
}

std::vector<float> in_plain_order(const AlignedBytes& bytes, const Shape& shape, Layout layout) {
  const auto* const from = static_cast<const float*>(bytes.data());
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = from[place(shape, layout, i)];
  return values;
}

// Largest error over the largest number.
double error(const std::vector<double>& expected, const std::vector<float>& actual) {
  double worst = 0;
  double scale = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double off = std::abs(expected[i] - static_cast<double>(actual[i]));
    if (!(off <= worst)) worst = std::isnan(off) ? HUGE_VAL : off;
    scale = std::max(scale, std::abs(expected[i]));
  }
  return worst / scale;
}

struct Case {
  Shape source;
  std::int64_t outputs;
  Extent padding;

  [[nodiscard]] Shape destination() const {
    return {source[0], outputs, source[2] + 2 * padding.height - 2, source[3] + 2 * padding.width - 2};
  }
  [[nodiscard]] Shape weights() const { return {outputs, source[1], taps, taps}; }
  [[nodiscard]] WinogradProblem forward(Layout layout) const {
    return {source, destination(), padding, layout, layout};
  }
  [[nodiscard]] WinogradProblem to_input(Layout layout) const {
    return {destination(), source, {2 - padding.height, 2 - padding.width}, layout, layout};
  }
  // f(output's index, input's number, weight's index) for every product.
  template <class Function>
  void each_product(const Plain& x, const Plain& y, const Plain& w, Function&& f) const {
    const auto each_tap = [&](std::int64_t n, std::int64_t o, std::int64_t row, std::int64_t column) {
      for (std::int64_t i = 0; i < source[1]; ++i) {
        for (std::int64_t tap = 0; tap < taps * taps; ++tap) {
          const std::int64_t from_row = row + tap / taps - padding.height;
          const std::int64_t from_column = column + tap % taps - padding.width;
          if (from_row < 0 || from_row >= source[2] || from_column < 0 || from_column >= source[3]) continue;
          f(y.index(n, o, row, column), x.index(n, i, from_row, from_column),
            w.index(o, i, tap / taps, tap % taps));
        }
      }
    };
    for (std::int64_t n = 0; n < y.shape[0]; ++n) {
      for (std::int64_t o = 0; o < outputs; ++o) {
        for (std::int64_t cell = 0; cell < y.shape[2] * y.shape[3]; ++cell) {
          each_tap(n, o, cell / y.shape[3], cell % y.shape[3]);
        }
      }
    }
  }
};

// y, and the gradient of the weights, summed in double.
std::vector<double> outputs(const Case& row, const Plain& x, const Plain& w) {
  const Plain y(row.destination());
  std::vector<double> sums(y.values.size());
  row.each_product(x, y, w, [&](std::size_t to, std::size_t from, std::size_t weight) {
    sums[to] += static_cast<double>(x.values[from]) * static_cast<double>(w.values[weight]);
  });
  return sums;
}

std::vector<double> weight_sums_of(const Case& row, const Plain& x, const Plain& dy) {
  const Plain dw(row.weights());
  std::vector<double> sums(dw.values.size());
  row.each_product(x, dy, dw, [&](std::size_t to, std::size_t from, std::size_t weight) {
    sums[weight] += static_cast<double>(x.values[from]) * static_cast<double>(dy.values[to]);
  });
  return sums;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {{2, 16, 9, 11}, 32, {1, 1}},  // tiles over two edges
      {{1, 32, 4, 4}, 16, {1, 1}},   // a tile and nothing else
      {{3, 16, 3, 3}, 16, {0, 0}},   // one pixel of output
      {{2, 16, 1, 7}, 16, {2, 0}},   // more padding than picture
      {{1, 48, 14, 6}, 64, {1, 2}},  // several blocks of both; panels of two vectors with AVX-512
      {{5, 16, 8, 8}, 48, {1, 1}},   // panels of one
      {{1, 16, 1, 1}, 16, {1, 1}},   // a pixel
      {{2, 32, 3, 6}, 16, {2, 2}},   // an input gradient without padding
  };
  return all;
}

// Everything at once; a few tiles at a time, by each thread alone; and by all threads together.
const std::vector<WinogradSpace>& spaces() {
  static const std::vector<WinogradSpace> all{WinogradSpace{}, {std::int64_t{1} << 18, 1}, {1, 1}};
  return all;
}

constexpr std::array layouts{nhwc, nchw8c, nchw16c};

std::vector<float> product(const WinogradProblem& problem, WeightsAtPoints::Order order, const Plain& x,
                           const Plain& w, int threads, const WinogradSpace& space,
                           const TiledMaps::After& after = {}) {
  const WinogradProduct product(problem, order, CpuContext{threads}, space);
  const Layout layout = problem.source_layout;
  const AlignedBytes source = in_layout(x, layout);
  const AlignedBytes destination(static_cast<std::size_t>(problem.destination.elements()) * sizeof(float));
  const AlignedBytes weights(product.weights_bytes());
  const AlignedBytes scratch(product.scratch_bytes());
  product.derive(w.values.data(), static_cast<float*>(weights.data()));
  product.run(static_cast<const float*>(source.data()), static_cast<const float*>(weights.data()), after,
              static_cast<float*>(destination.data()), static_cast<float*>(scratch.data()));
  return in_plain_order(destination, problem.destination, layout);
}

std::vector<float> weight_gradient(const WinogradProblem& problem, const Plain& x, const Plain& dy, int threads,
                                   const WinogradSpace& space) {
  const WinogradWeights weights(problem, CpuContext{threads}, space);
  const AlignedBytes source = in_layout(x, problem.source_layout);
  const AlignedBytes gradient = in_layout(dy, problem.destination_layout);
  const AlignedBytes scratch(weights.scratch_bytes());
  std::vector<float> result(static_cast<std::size_t>(x.shape[1] * dy.shape[1] * taps * taps), 7);
  weights.run(static_cast<const float*>(source.data()), static_cast<const float*>(gradient.data()),
              result.data(), static_cast<float*>(scratch.data()));
  return result;
}

template <class Check>
void in_every_way(Check&& check) {
  for (std::size_t which = 0; which < cases().size(); ++which) {
    for (const Layout layout : layouts) {
      for (std::size_t space = 0; space < spaces().size(); ++space) {
        BOOST_TEST_CONTEXT("case " << which << ", " << layout_name(layout) << ", space " << space) {
          check(cases()[which], layout, spaces()[space]);
        }
      }
    }
  }
}

const Tolerance& tolerated() {
  static const Tolerance of_f32 = tolerance(DType::f32);
  return of_f32;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(winograd)

BOOST_AUTO_TEST_CASE(products_at_points_are_the_outputs_and_the_gradients_of_the_weights) {
  const std::array<float, 6> d{0.5F, -1, 2, 0.25F, 3, -0.75F};
  const std::array<float, 3> g{1, -2, 0.5F};
  const std::array<float, 4> dy{2, -1, 0.5F, 1.5F};
  const auto times = [](const std::array<float, 6>& a, const std::array<float, 6>& b) {
    std::array<float, 6> all{};
    std::transform(a.begin(), a.end(), b.begin(), all.begin(), std::multiplies{});
    return all;
  };
  const std::array<float, 4> y = from_points(times(at_points(d), weights_at_points(g)));
  for (std::size_t i = 0; i < y.size(); ++i) {
    BOOST_TEST(std::abs(y[i] - (g[0] * d[i] + g[1] * d[i + 1] + g[2] * d[i + 2])) < 1e-5F);
  }
  const std::array<float, 3> dw = weight_gradients(times(at_points(d), gradients_at_points(dy)));
  for (std::size_t k = 0; k < dw.size(); ++k) {
    float expected = 0;
    for (std::size_t i = 0; i < dy.size(); ++i) expected += dy[i] * d[i + k];
    BOOST_TEST(std::abs(dw[k] - expected) < 1e-5F);
  }
}

BOOST_AUTO_TEST_CASE(outputs_are_the_sums_of_the_direct_convolution) {
  in_every_way([](const Case& row, Layout layout, const WinogradSpace& space) {
    const Plain x = Plain::random(row.source, 1);
    const Plain w = Plain::random(row.weights(), 2);
    const std::vector<double> expected = outputs(row, x, w);
    const auto order = WeightsAtPoints::Order::as_they_are;
    const std::vector<float> two = product(row.forward(layout), order, x, w, 2, space);
    BOOST_TEST(error(expected, two) <= tolerated().value);
    BOOST_TEST((product(row.forward(layout), order, x, w, 1, space) == two));
    BOOST_TEST((product(row.forward(layout), order, x, w, 3, space) == two));
    BOOST_TEST((product(row.forward(layout), order, x, w, 2, {}) == two));
  });
}

BOOST_AUTO_TEST_CASE(input_gradients_are_outputs_of_the_turned_weights) {
  in_every_way([](const Case& row, Layout layout, const WinogradSpace& space) {
    const Plain dy = Plain::random(row.destination(), 3);
    const Plain w = Plain::random(row.weights(), 2);
    const Plain dx(row.source);
    std::vector<double> expected(dx.values.size());
    row.each_product(dx, dy, w, [&](std::size_t from, std::size_t to, std::size_t weight) {
      expected[to] += static_cast<double>(dy.values[from]) * static_cast<double>(w.values[weight]);
    });
    const auto actual = product(row.to_input(layout), WeightsAtPoints::Order::turned, dy, w, 2, space);
    BOOST_TEST(error(expected, actual) <= tolerated().gradient);
    BOOST_TEST((product(row.to_input(layout), WeightsAtPoints::Order::turned, dy, w, 3, space) == actual));
  });
}

BOOST_AUTO_TEST_CASE(shifts_a_residual_and_an_activation_follow_in_this_order) {
  const ReluRule activation(GeneralRelu{.leak = 0.1, .sub = 0.4, .maxv = 3});
  in_every_way([&](const Case& row, Layout layout, const WinogradSpace& space) {
    const Plain x = Plain::random(row.source, 1);
    const Plain w = Plain::random(row.weights(), 2);
    const Plain residual = Plain::random(row.destination(), 4);
    const Plain shifts = Plain::random({1, row.outputs, 1, 1}, 5);
    const auto order = WeightsAtPoints::Order::as_they_are;
    const AlignedBytes shift_bytes = in_layout(shifts, nhwc);
    const AlignedBytes residual_bytes = in_layout(residual, layout);
    const TiledMaps::After after{static_cast<const float*>(shift_bytes.data()),
                                 static_cast<const float*>(residual_bytes.data()), &activation};
    const std::vector<float> actual = product(row.forward(layout), order, x, w, 2, space, after);
    const std::vector<float> sums = product(row.forward(layout), order, x, w, 2, space);
    const auto cells = static_cast<std::size_t>(residual.shape[2] * residual.shape[3]);
    bool same = true;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const float shift = shifts.values[i / cells % static_cast<std::size_t>(row.outputs)];
      same = same && actual[i] == activation.value(sums[i] + shift + residual.values[i]);
    }
    BOOST_TEST(same);
  });
}

BOOST_AUTO_TEST_CASE(weight_gradients_are_sums_over_all_pictures) {
  in_every_way([](const Case& row, Layout layout, const WinogradSpace& space) {
    const Plain x = Plain::random(row.source, 1);
    const Plain dy = Plain::random(row.destination(), 3);
    const std::vector<double> expected = weight_sums_of(row, x, dy);
    const std::vector<float> two = weight_gradient(row.forward(layout), x, dy, 2, space);
    BOOST_TEST(error(expected, two) <= tolerated().gradient);
    BOOST_TEST((weight_gradient(row.forward(layout), x, dy, 1, space) == two));
    BOOST_TEST((weight_gradient(row.forward(layout), x, dy, 3, space) == two));
  });
}

// More tiles than are summed at once.
BOOST_AUTO_TEST_CASE(weight_gradients_of_many_tiles_forget_none) {
  const Case row{{9, 16, 14, 14}, 16, {1, 1}};
  const Plain x = Plain::random(row.source, 1);
  const Plain dy = Plain::random(row.destination(), 3);
  const std::vector<double> expected = weight_sums_of(row, x, dy);
  BOOST_TEST(error(expected, weight_gradient(row.forward(nhwc), x, dy, 2, {1, 1})) <= tolerated().gradient);
}

// With the points 0, ±1, ±2 and ∞ it would be 3.8 times.
BOOST_AUTO_TEST_CASE(rounding_is_about_twice_that_of_direct_sums) {
  const Case row{{2, 64, 16, 16}, 16, {1, 1}};
  const Plain x = Plain::random(row.source, 1);
  const Plain w = Plain::random(row.weights(), 2);
  const std::vector<double> expected = outputs(row, x, w);
  Plain direct(row.destination());
  row.each_product(x, direct, w, [&](std::size_t to, std::size_t from, std::size_t weight) {
    direct.values[to] += x.values[from] * w.values[weight];
  });
  const auto distance = [&](const std::vector<float>& actual) {
    double sum = 0;
    for (std::size_t i = 0; i < actual.size(); ++i)
      sum += std::pow(static_cast<double>(actual[i]) - expected[i], 2);
    return std::sqrt(sum);
  };
  const auto order = WeightsAtPoints::Order::as_they_are;
  const double ratio = distance(product(row.forward(nhwc), order, x, w, 2, {})) / distance(direct.values);
  BOOST_TEST_MESSAGE("ratio " << ratio);
  BOOST_TEST(ratio < 2.5);
}

// A part's input has 16 channels, its output 64: a bias that is bound is none of the input gradient's.
BOOST_AUTO_TEST_CASE(a_part_reads_what_its_direction_has_wherever_it_is_bound) {
  for (const std::int64_t pictures : {1, 31, 32}) {  // weights at the points stay, or are derived anew
    BOOST_TEST_CONTEXT(pictures << " pictures") {
      ConvProblem problem;
      problem.op = {.out = 64, .padding = {1, 1}};
      problem.source = {pictures, 16, 5, 5};
      problem.destination = {pictures, 64, 5, 5};
      problem.inference = true;
      const Plain y = Plain::random(problem.destination, 1);
      const Plain w = Plain::random(problem.weights(), 2);
      const Plain bias = Plain::random({1, 16, 1, 1}, 3);  // shorter than what has been summed up
      const Case row{problem.source, 64, {1, 1}};
      const std::vector<float> expected =
          product(row.to_input(nhwc), WeightsAtPoints::Order::turned, y, w, 2, {});
      const std::unique_ptr<ConvPart> part =
          make_winograd_part(CpuContext{2}, problem, Direction::backward_data, {nhwc, nhwc, {}});
      const AlignedBytes dy = in_layout(y, nhwc);
      const AlignedBytes weights = in_layout(w, nchw16c);  // any order will do for the first binding
      Plain plain = w;
      const AlignedBytes inner(part->inner_bytes());
      for (int round = 0; round < 2; ++round) {
        const AlignedBytes destination(expected.size() * sizeof(float));
        const AlignedBytes scratchpad(part->scratchpad_bytes());
        part->bind({destination.data(), dy.data(), round == 0 ? weights.data() : plain.values.data(),
                    const_cast<float*>(bias.values.data()), inner.data(), scratchpad.data(), nullptr});
        part->derive();
        part->run();
        const std::vector<float> dx = in_plain_order(destination, problem.source, nhwc);
        BOOST_TEST((dx == expected) == (round == 1));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_device_that_is_told_to_takes_it_in_every_layout_and_direction) {
  NetworkBuilder builder({16, 9, 11});
  builder.add(Conv{.out = 32, .padding = {1, 1}, .bias = false});
  const Network network = builder.build();
  for (const Layout layout : layouts) {
    for (const Mode mode : {Mode::train, Mode::infer}) {
      BOOST_TEST_CONTEXT(layout_name(layout) << (mode == Mode::train ? ", training" : ", inference")) {
        CpuDevice device(by_rule(2), {.layout = layout, .always_winograd = true});
        ParameterStore store(device, parameter_layout(network), true);
        const BoundPlan plan(device, network, {.mode = mode, .batch = 3, .input_gradient = mode == Mode::train},
                             store);
        std::string implementations;
        for (const OperationReport& report : plan->explain(0)) {
          if (report.operation.starts_with("conv")) implementations += report.implementation + "; ";
        }
        BOOST_TEST(implementations == (mode == Mode::train ? "winograd; winograd, winograd; " : "winograd; "));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(it_takes_three_by_three_without_strides_alone) {
  ConvProblem problem;
  problem.op = {.out = 32, .padding = {1, 1}, .bias = false};
  problem.source = {2, 16, 7, 7};
  problem.destination = {2, 32, 7, 7};
  const ConvChoice choice{nhwc, nhwc, std::string(winograd_name)};
  const auto suits = [&](const ConvProblem& of) { return suits_winograd(of, Direction::forward, choice); };
  BOOST_TEST(suits(problem));
  const auto changed = [&](auto&& change) {
    ConvProblem other = problem;
    change(other);
    return suits(other);
  };
  BOOST_TEST(!changed([](ConvProblem& p) { p.op.stride = {2, 1}; }));
  BOOST_TEST(!changed([](ConvProblem& p) { p.op.kernel = {3, 1}; }));
  BOOST_TEST(!changed([](ConvProblem& p) { p.op.dilation = {1, 2}; }));
  BOOST_TEST(!changed([](ConvProblem& p) { p.op.groups = 2; }));
  BOOST_TEST(!changed([](ConvProblem& p) { p.op.padding = {1, 3}; }));
  BOOST_TEST(!changed([](ConvProblem& p) { p.source = {2, 8, 7, 7}; }));
  BOOST_TEST(!changed([](ConvProblem& p) { p.destination = {2, 24, 7, 7}; }));
  BOOST_TEST(!changed([](ConvProblem& p) { p.type = DType::bf16; }));
  problem.op.bias = true;
  BOOST_TEST(suits(problem));
  BOOST_TEST(!suits_winograd(problem, Direction::backward_weights, choice));
  BOOST_TEST(!suits_winograd(problem, Direction::forward, {nchw, nchw, {}}));
  BOOST_TEST(!suits_winograd(problem, Direction::forward, {nhwc, nchw8c, {}}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
