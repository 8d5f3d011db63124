// What each operation computes: output shapes, parameters, work, and what it refuses.
#include "descent/error.h"
#include "descent/network.h"

#include <boost/test/unit_test.hpp>

#include <array>
#include <initializer_list>
#include <string>
#include <vector>

namespace descent {

namespace {

Shape output_of(const Op& op, std::initializer_list<Shape> inputs) {
  return infer_output(op, std::span<const Shape>(inputs.begin(), inputs.size()));
}

// The message with which an operation is refused; empty if it is accepted.
std::string refusal(const Op& op, std::initializer_list<Shape> inputs) {
  try {
    static_cast<void>(output_of(op, inputs));
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

bool mentions(const std::string& message, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    if (message.find(part) == std::string::npos) {
      BOOST_TEST_MESSAGE("'" << message << "' does not mention '" << part << "'");
      return false;
    }
  }
  return true;
}

// Sizes of one axis as PyTorch computes them; an output of 0 means that PyTorch refuses.
struct PoolRow {
  std::int64_t size, kernel, stride, padding, floor, ceil;
};
constexpr std::array<PoolRow, 50> pool_rows{
    {{1, 1, 1, 0, 1, 1}, {1, 2, 2, 0, 0, 1},  {1, 2, 3, 0, 0, 1},  {1, 2, 2, 1, 1, 1},  {1, 3, 1, 1, 1, 1},
     {1, 3, 2, 0, 0, 0}, {1, 3, 2, 1, 1, 1},  {1, 3, 5, 1, 1, 1},  {1, 4, 3, 2, 1, 1},  {1, 2, 5, 0, 0, 1},
     {1, 7, 2, 3, 1, 1}, {2, 2, 2, 0, 1, 1},  {2, 2, 3, 0, 1, 1},  {2, 2, 2, 1, 2, 2},  {2, 3, 1, 1, 2, 2},
     {2, 3, 2, 0, 0, 1}, {2, 3, 2, 1, 1, 2},  {2, 3, 5, 1, 1, 1},  {2, 4, 3, 2, 1, 2},  {2, 2, 5, 0, 1, 1},
     {2, 7, 2, 3, 1, 2}, {3, 2, 2, 0, 1, 2},  {3, 2, 3, 0, 1, 1},  {3, 2, 2, 1, 2, 2},  {3, 3, 1, 1, 3, 3},
     {3, 3, 2, 0, 1, 1}, {3, 3, 2, 1, 2, 2},  {3, 4, 3, 2, 2, 2},  {3, 7, 2, 3, 2, 2},  {5, 2, 2, 0, 2, 3},
     {5, 2, 3, 0, 2, 2}, {5, 2, 2, 1, 3, 3},  {5, 3, 5, 1, 1, 2},  {5, 4, 3, 2, 2, 3},  {5, 2, 5, 0, 1, 1},
     {7, 2, 2, 0, 3, 4}, {7, 2, 3, 0, 2, 3},  {7, 2, 2, 1, 4, 4},  {7, 3, 5, 1, 2, 2},  {7, 4, 3, 2, 3, 3},
     {8, 2, 3, 0, 3, 3}, {8, 2, 2, 1, 5, 5},  {8, 3, 2, 0, 3, 4},  {8, 3, 2, 1, 4, 5},  {8, 4, 3, 2, 3, 4},
     {8, 7, 2, 3, 4, 5}, {13, 2, 2, 0, 6, 7}, {13, 2, 3, 0, 4, 5}, {13, 3, 5, 1, 3, 3}, {13, 4, 3, 2, 5, 5}}};

struct ConvRow {
  std::int64_t size, kernel, stride, padding, dilation, output;
};
constexpr std::array<ConvRow, 32> conv_rows{
    {{1, 1, 1, 0, 1, 1},  {1, 1, 2, 0, 1, 1},  {1, 3, 1, 1, 1, 1},  {1, 5, 3, 2, 1, 1},  {1, 3, 1, 0, 2, 0},
     {1, 3, 2, 2, 2, 1},  {1, 2, 1, 0, 3, 0},  {1, 3, 1, 5, 1, 9},  {3, 1, 2, 0, 1, 2},  {3, 3, 1, 1, 1, 3},
     {3, 3, 2, 1, 1, 2},  {3, 5, 3, 2, 1, 1},  {3, 3, 1, 0, 2, 0},  {3, 3, 2, 2, 2, 2},  {3, 2, 1, 0, 3, 0},
     {3, 7, 2, 3, 1, 2},  {6, 1, 2, 0, 1, 3},  {6, 3, 2, 1, 1, 3},  {6, 5, 3, 2, 1, 2},  {6, 3, 1, 0, 2, 2},
     {6, 3, 2, 2, 2, 3},  {6, 2, 1, 0, 3, 3},  {7, 3, 2, 1, 1, 4},  {7, 5, 3, 2, 1, 3},  {7, 3, 1, 0, 2, 3},
     {7, 2, 1, 0, 3, 4},  {7, 7, 2, 3, 1, 4},  {12, 1, 2, 0, 1, 6}, {12, 5, 3, 2, 1, 4}, {12, 3, 1, 0, 2, 8},
     {12, 2, 1, 0, 3, 9}, {12, 3, 1, 5, 1, 20}}};

template <class Pool>
void check_pool(const PoolRow& row, bool ceil_mode) {
  const std::int64_t expected = ceil_mode ? row.ceil : row.floor;
  const Pool tall{{row.kernel, 1}, {row.stride, 1}, {row.padding, 0}, ceil_mode};
  const Pool wide{{1, row.kernel}, {1, row.stride}, {0, row.padding}, ceil_mode};
  BOOST_TEST_CONTEXT("size " << row.size << " kernel " << row.kernel << " stride " << row.stride << " padding "
                             << row.padding << " ceil " << ceil_mode) {
    if (expected == 0) {
      BOOST_TEST(mentions(refusal(tall, {{3, row.size, 1}}), {"larger than its input"}));
      BOOST_TEST(mentions(refusal(wide, {{3, 1, row.size}}), {"larger than its input"}));
    } else {
      BOOST_TEST((output_of(tall, {{3, row.size, 1}}) == Shape{3, expected, 1}));
      BOOST_TEST((output_of(wide, {{3, 1, row.size}}) == Shape{3, 1, expected}));
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(op_rules)

BOOST_AUTO_TEST_CASE(pools_have_as_many_windows_as_in_pytorch) {
  for (const PoolRow& row : pool_rows) {
    for (const bool ceil_mode : {false, true}) {
      check_pool<MaxPool>(row, ceil_mode);
      check_pool<AvgPool>(row, ceil_mode);
    }
  }
}

BOOST_AUTO_TEST_CASE(convolutions_have_as_many_windows_as_in_pytorch) {
  for (const ConvRow& row : conv_rows) {
    Conv tall{.out = 5, .kernel = {row.kernel, 1}, .stride = {row.stride, 1}, .padding = {row.padding, 0}};
    tall.dilation = {row.dilation, 1};
    Conv wide{.out = 5, .kernel = {1, row.kernel}, .stride = {1, row.stride}, .padding = {0, row.padding}};
    wide.dilation = {1, row.dilation};
    BOOST_TEST_CONTEXT("size " << row.size << " kernel " << row.kernel << " stride " << row.stride) {
      if (row.output == 0) {
        BOOST_TEST(mentions(refusal(tall, {{2, row.size, 1}}), {"larger than its input"}));
        BOOST_TEST(mentions(refusal(wide, {{2, 1, row.size}}), {"larger than its input"}));
      } else {
        BOOST_TEST((output_of(tall, {{2, row.size, 1}}) == Shape{5, row.output, 1}));
        BOOST_TEST((output_of(wide, {{2, 1, row.size}}) == Shape{5, 1, row.output}));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(other_operations_have_the_shapes_of_pytorch) {
  BOOST_TEST((output_of(BatchNorm{}, {{8, 3, 5}}) == Shape{8, 3, 5}));
  BOOST_TEST((output_of(BatchNorm{}, {{10}}) == Shape{10}));
  BOOST_TEST((output_of(GeneralRelu{}, {{8, 3, 5}}) == Shape{8, 3, 5}));
  BOOST_TEST((output_of(Linear{.out = 7}, {{12}}) == Shape{7}));
  BOOST_TEST((output_of(GlobalAvgPool{}, {{8, 3, 5}}) == Shape{8, 1, 1}));
  BOOST_TEST((output_of(Add{}, {{8, 3, 5}, {8, 3, 5}}) == Shape{8, 3, 5}));
  BOOST_TEST((output_of(Flatten{}, {{8, 3, 5}}) == Shape{120}));
  BOOST_TEST((output_of(Dropout{}, {{8, 3, 5}}) == Shape{8, 3, 5}));
  BOOST_TEST((output_of(SoftmaxCrossEntropy{}, {{10}, {10}}) == Shape{2}));
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_meet_are_both_named) {
  BOOST_TEST(mentions(refusal(Add{}, {{8, 3, 5}, {8, 3, 4}}), {"8×3×5", "8×3×4"}));
  BOOST_TEST(mentions(refusal(SoftmaxCrossEntropy{}, {{10}, {9}}), {"10", "9"}));
  BOOST_TEST(mentions(refusal(Linear{.out = 7}, {{8, 3, 5}}), {"8×3×5", "flatten"}));
  BOOST_TEST(mentions(refusal(Conv{.out = 7}, {{15}}), {"channels×height×width", "15"}));
  BOOST_TEST(mentions(refusal(MaxPool{}, {{15}}), {"channels×height×width", "15"}));
  BOOST_TEST(mentions(refusal(GlobalAvgPool{}, {{15}}), {"channels×height×width", "15"}));
  BOOST_TEST(mentions(refusal(Conv{.out = 7, .kernel = {5, 3}}, {{2, 4, 9}}), {"5×3", "2×4×9", "padding 0×0"}));
  BOOST_TEST(mentions(refusal(BatchNorm{}, {{3, 5}}), {"3×5"}));
}

BOOST_AUTO_TEST_CASE(an_operation_takes_the_right_number_of_inputs) {
  BOOST_TEST(mentions(refusal(Add{}, {{8, 3, 5}}), {"2 inputs", "gets 1"}));
  BOOST_TEST(mentions(refusal(Flatten{}, {{8, 3, 5}, {8, 3, 5}}), {"1 input", "gets 2"}));
  BOOST_TEST(mentions(refusal(Flatten{}, {}), {"1 input", "gets 0"}));
}

BOOST_AUTO_TEST_CASE(sizes_that_make_no_sense_are_refused) {
  const Shape input{4, 6, 6};
  BOOST_TEST(mentions(refusal(Conv{}, {input}), {"'out'"}));
  BOOST_TEST(mentions(refusal(Conv{.out = 0}, {input}), {"'out'", "0"}));
  BOOST_TEST(mentions(refusal(Conv{.out = -3}, {input}), {"'out'", "-3"}));
  BOOST_TEST(mentions(refusal(Conv{.out = 4, .kernel = {0, 3}}, {input}), {"'kernel'", "0×3"}));
  BOOST_TEST(mentions(refusal(Conv{.out = 4, .stride = {1, 0}}, {input}), {"'stride'", "1×0"}));
  BOOST_TEST(mentions(refusal(Conv{.out = 4, .padding = {-1, 0}}, {input}), {"'padding'", "-1×0"}));
  BOOST_TEST(mentions(refusal(Conv{.out = 4, .dilation = {0, 1}}, {input}), {"'dilation'", "0×1"}));
  BOOST_TEST(mentions(refusal(Conv{.out = 4, .groups = 0}, {input}), {"'groups'", "0"}));
  BOOST_TEST(mentions(refusal(Conv{.out = 6, .groups = 3}, {input}), {"3 groups", "4 channels", "4×6×6"}));
  BOOST_TEST(mentions(refusal(Conv{.out = 5, .groups = 2}, {input}), {"2 groups", "5 output channels"}));
  BOOST_TEST(mentions(refusal(Linear{.out = 0}, {{4}}), {"'out'", "0"}));
  BOOST_TEST(
      mentions(refusal(MaxPool{.kernel = {3, 3}, .padding = {2, 1}}, {input}), {"padding 2×1", "half", "3×3"}));
  BOOST_TEST(
      mentions(refusal(AvgPool{.kernel = {3, 3}, .padding = {1, 2}}, {input}), {"padding 1×2", "half", "3×3"}));
  BOOST_TEST(mentions(refusal(BatchNorm{.eps = -1e-5}, {input}), {"'eps'", "-1e-05"}));
  BOOST_TEST(mentions(refusal(BatchNorm{.momentum = 1.5}, {input}), {"'momentum'", "1.5"}));
  for (const double p : {-0.1, 1.0, 2.0})
    BOOST_TEST(mentions(refusal(Dropout{.p = p}, {input}), {"'p'", "[0, 1)"}));
  BOOST_TEST(refusal(Dropout{.p = 0}, {input}).empty());
}

BOOST_AUTO_TEST_CASE(sizes_that_would_overflow_are_refused) {
  const std::int64_t huge = std::int64_t{1} << 31U;
  const std::int64_t most = std::int64_t{1} << 20U;
  BOOST_TEST(!refusal(Conv{.out = huge}, {{1, 6, 6}}).empty());
  BOOST_TEST(!refusal(Conv{.out = most, .kernel = {1, 1}}, {{1, 4096, 4096}}).empty());
  BOOST_TEST(!refusal(Conv{.out = most, .kernel = {1, 1}}, {{4096, 1, 1}}).empty());
  BOOST_TEST(!refusal(Conv{.out = 1, .padding = {most, most}}, {{1, 6, 6}}).empty());
  BOOST_TEST(!refusal(Conv{.out = 1, .dilation = {most, most}}, {{1, 6, 6}}).empty());
  BOOST_TEST(!refusal(Linear{.out = most}, {{4096}}).empty());
  BOOST_TEST(!refusal(Flatten{}, {{huge, huge, huge}}).empty());
}

BOOST_AUTO_TEST_CASE(parameters_are_those_of_pytorch_in_its_order) {
  using Kind = ParameterSpec::Kind;
  const auto check = [](const Op& op, const Shape& input, const std::vector<ParameterSpec>& expected) {
    const std::vector<ParameterSpec> specs = parameters_of(op, input);
    BOOST_REQUIRE_EQUAL(specs.size(), expected.size());
    for (std::size_t i = 0; i < specs.size(); ++i) {
      BOOST_TEST(specs[i].suffix == expected[i].suffix);
      BOOST_TEST((specs[i].shape == expected[i].shape));
      BOOST_TEST((specs[i].kind == expected[i].kind));
    }
  };
  check(Conv{.out = 6, .kernel = {3, 5}, .groups = 2}, {4, 8, 8},
        {{"weight", {6, 2, 3, 5}, Kind::trained}, {"bias", {6}, Kind::trained}});
  check(Conv{.out = 6, .bias = false}, {4, 8, 8}, {{"weight", {6, 4, 3, 3}, Kind::trained}});
  check(Linear{.out = 3}, {5}, {{"weight", {3, 5}, Kind::trained}, {"bias", {3}, Kind::trained}});
  check(Linear{.out = 3, .bias = false}, {5}, {{"weight", {3, 5}, Kind::trained}});
  check(BatchNorm{}, {4, 8, 8},
        {{"weight", {4}, Kind::trained},
         {"bias", {4}, Kind::trained},
         {"running_mean", {4}, Kind::statistic},
         {"running_var", {4}, Kind::statistic},
         {"num_batches_tracked", {}, Kind::counter}});
  for (const Op& op : {Op(GeneralRelu{}), Op(MaxPool{}), Op(Add{}), Op(Flatten{}), Op(Dropout{})}) {
    check(op, {4, 8, 8}, {});
  }
}

BOOST_AUTO_TEST_CASE(multiply_accumulates_count_every_tap_of_every_window) {
  const Conv conv{.out = 6, .kernel = {3, 5}, .padding = {1, 2}, .groups = 2};
  const Shape input{4, 8, 7};
  const Shape output = output_of(conv, {input});
  BOOST_TEST((output == Shape{6, 8, 7}));
  BOOST_TEST(multiply_accumulates(conv, input, output) == 6 * 8 * 7 * 2 * 3 * 5);
  BOOST_TEST(multiply_accumulates(Linear{.out = 3}, {5}, {3}) == 15);
  BOOST_TEST(multiply_accumulates(BatchNorm{}, input, input) == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent
