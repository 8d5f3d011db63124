// What the CPU's own loops promise beyond the table of operation cases: the same bits for every number of
// threads, right results at sizes of several tiles and blocks, and nothing hidden that is not finite.
#include "case_run.h"
#include "compare.h"
#include "cpu/device.h"
#include "cpu/kernels.h"
#include "descent/error.h"
#include "network_builder.h"
#include "op_cases.h"
#include "reference/device.h"
#include "tolerances.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace descent::test {
namespace {

constexpr Layout layouts[] = {nchw, nhwc, nchw8c, nchw16c, n16chw};

// Own loops wherever there are some.
CpuDevice loops_device(Layout layout, int threads) {
  return CpuDevice(by_rule(threads), {layout, false});
}

// Linear layers have no loops.
bool has_loops(const OpCase& row) {
  return std::none_of(row.network.layers.begin(), row.network.layers.end(),
                      [](const Layer& layer) { return std::holds_alternative<Linear>(layer.op); });
}

OpCase one_layer(const Shape& input, const Op& op, std::int64_t batch, Mode mode) {
  NetworkBuilder builder(input);
  builder.add(op);
  OpCase row;
  row.network = builder.build();
  row.batch = batch;
  row.mode = mode;
  row.seed = 11;
  return row;
}

// Output of one operation for given input values.
std::vector<float> output_of(const Shape& input, const Op& op, const std::vector<float>& values) {
  const OpCase row = one_layer(input, op, 1, Mode::infer);
  CpuDevice device = loops_device(nchw, 2);
  CaseRun run(device, row);
  run.restore_parameters();
  run.load_values();
  run.plan().write(Plan::Port::input, values);
  run.forward();
  std::vector<float> output(static_cast<std::size_t>(row.network.layers.back().output.elements()));
  run.plan().read(Plan::Port::output, output);
  return output;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loops)

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bit) {
  for (const std::string_view operation : operations()) {
    BOOST_TEST_CONTEXT(operation) {
      for (const OpCase* row : op_cases_of(operation)) {
        if (!has_loops(*row)) continue;
        for (const Layout layout : {nchw, nhwc}) {
          BOOST_TEST_CONTEXT(layout_name(layout) << ": " << row->name) {
            CpuDevice one = loops_device(layout, 1);
            const Outcome expected = CaseRun(one, *row).step();
            for (const int threads : {2, 5}) {
              CpuDevice several = loops_device(layout, threads);
              BOOST_TEST((CaseRun(several, *row).step() == expected), threads << " threads");
            }
          }
        }
      }
    }
  }
}

// Rows of the table are small; these are large enough for several tiles, blocks and threads.
BOOST_AUTO_TEST_CASE(large_shapes_agree_with_the_reference_on_any_number_of_threads) {
  const std::vector<OpCase> rows = {
      one_layer({10, 29, 31},
                Conv{.out = 12, .kernel = {3, 5}, .stride = {2, 1}, .padding = {1, 2}, .groups = 2}, 9,
                Mode::train),
      one_layer({300, 3, 3}, Conv{.out = 7}, 33, Mode::train),
      one_layer({16, 23, 21}, BatchNorm{}, 35, Mode::train),
      one_layer({48, 23, 21}, GeneralRelu{.leak = 0.1, .sub = 0.4, .maxv = 1.0}, 3, Mode::train),
      one_layer({16, 41, 43}, MaxPool{.kernel = {3, 3}, .padding = {1, 1}}, 3, Mode::train),
      one_layer({16, 41, 43}, AvgPool{.kernel = {3, 3}, .ceil_mode = true}, 3, Mode::train),
      one_layer({64, 17, 19}, GlobalAvgPool{}, 3, Mode::train),
      one_layer({16, 41, 43}, Dropout{.p = 0.3}, 3, Mode::train),
  };
  for (const OpCase& row : rows) {
    reference::ReferenceDevice reference;
    const Outcome expected = CaseRun(reference, row).step();
    for (const Layout layout : layouts) {
      BOOST_TEST_CONTEXT(layout_name(layout) << ": " << name(row.network.layers[0].op)) {
        CpuDevice one = loops_device(layout, 1);
        CaseRun run(one, row);
        const Outcome first = run.step();
        const Tolerance tolerated = tolerance(DType::f32);
        check_outcome(first, expected, run.store().layout(), tolerated.value, tolerated.gradient);
        CpuDevice three = loops_device(layout, 3);
        BOOST_TEST((CaseRun(three, row).step() == first));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_stays_visible) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> values = {nan, inf, -inf, 1};

  const std::vector<float> relu = output_of({1, 2, 2}, GeneralRelu{}, values);
  BOOST_TEST(std::isnan(relu[0]));
  BOOST_TEST(relu[1] == inf);
  BOOST_TEST(relu[2] == 0);
  const std::vector<float> leaky =
      output_of({1, 2, 2}, GeneralRelu{.leak = 0.1, .sub = 0.4, .maxv = 6}, values);
  BOOST_TEST(std::isnan(leaky[0]));
  BOOST_TEST(leaky[1] == 6);
  BOOST_TEST(leaky[2] == -inf);

  BOOST_TEST(std::isnan(output_of({1, 2, 2}, MaxPool{}, values)[0]));
  BOOST_TEST(std::isnan(output_of({1, 2, 2}, MaxPool{}, {1, nan, 2, 3})[0]));
  BOOST_TEST(output_of({1, 2, 2}, MaxPool{}, {-inf, -inf, -inf, -inf})[0] == -inf);
}

BOOST_AUTO_TEST_CASE(bytes_become_the_same_floats_as_in_pytorch) {
  // (torch.arange(256, dtype=torch.uint8) / 255 − 0.28) / 0.35, of bytes 0, 1, 100, 254, 255
  const std::vector<std::uint8_t> pictures = {0, 1, 100, 254, 255, 7, 255, 254, 100, 1, 0, 7};
  const std::vector<std::int32_t> labels = {2, 0};
  const Normalisation normalisation{{0.28F}, {0.35F}};
  const PictureSource source{pictures, labels, {1, 2, 3}, &normalisation};
  const std::vector<std::uint32_t> indices = {1, 0, 1};
  std::vector<float> input(18);
  std::vector<float> targets(9, 5.0F);
  const Tensor input_tensor{{DType::f32, {3, 1, 2, 3}}, input.data()};
  const Tensor target_tensor{{DType::f32, {3, 3}}, targets.data()};
  load_pictures({2}, source, {indices}, input_tensor, &target_tensor);
  for (std::size_t n = 0; n < indices.size(); ++n) {
    for (std::size_t i = 0; i < 6; ++i) {
      const float byte = pictures[std::size_t{indices[n]} * 6 + i];
      BOOST_TEST(input[n * 6 + i] == (byte / 255.0F - 0.28F) / 0.35F);
    }
  }
  const std::vector<float> rows = {1, 0, 0, 0, 0, 1, 1, 0, 0};
  BOOST_TEST(targets == rows, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_view_is_mirrored_then_moved_and_what_comes_in_is_zero) {
  const std::vector<std::uint8_t> picture = {10, 20, 30,  //
                                             40, 50, 60};
  const Normalisation plain{{0}, {1.0F / 255}};
  const PictureSource source{picture, {}, {1, 2, 3}, &plain};
  const std::vector<std::uint32_t> indices = {0, 0, 0, 0};
  const std::vector<PictureView> views = {{0, 0, true}, {1, 0, false}, {-1, 1, false}, {0, 1, true}};
  std::vector<float> input(24, 7.0F);
  load_pictures({1}, source, {indices, views}, Tensor{{DType::f32, {4, 1, 2, 3}}, input.data()}, nullptr);
  const std::vector<float> expected = {30, 20, 10, 60, 50, 40,  //
                                       0,  0,  0,  10, 20, 30,  //
                                       0,  40, 50, 0,  0,  0,   //
                                       0,  30, 20, 0,  60, 50};
  for (float& value : input) value = std::round(value);
  BOOST_TEST(input == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_batch_with_fewer_views_than_pictures_is_refused) {
  const std::vector<std::uint8_t> pictures = {0, 1};
  const Normalisation normalisation{{0.5F}, {0.5F}};
  std::vector<float> input(2);
  const std::vector<std::uint32_t> indices = {0, 1};
  const std::vector<PictureView> views(1);
  const PictureSource source{pictures, {}, {1, 1, 1}, &normalisation};
  const Tensor tensor{{DType::f32, {2, 1, 1, 1}}, input.data()};
  BOOST_CHECK_THROW(load_pictures({1}, source, {indices, views}, tensor, nullptr), Error);
}

BOOST_AUTO_TEST_CASE(a_label_beyond_the_models_classes_is_refused) {
  const std::vector<std::uint8_t> pictures = {0, 1};
  const Normalisation normalisation{{0.5F}, {0.5F}};
  std::vector<float> input(2);
  std::vector<float> targets(4);
  const Tensor input_tensor{{DType::f32, {2, 1, 1, 1}}, input.data()};
  const Tensor target_tensor{{DType::f32, {2, 2}}, targets.data()};
  const std::vector<std::uint32_t> indices = {0, 1};
  const std::vector<std::int32_t> labels = {1, 2};
  const PictureSource source{pictures, labels, {1, 1, 1}, &normalisation};
  BOOST_CHECK_EXCEPTION(load_pictures({1}, source, {indices}, input_tensor, &target_tensor), Error,
                        [](const Error& error) {
                          const std::string text = error.what();
                          return text.find("picture 1") != text.npos && text.find("label 2") != text.npos;
                        });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
