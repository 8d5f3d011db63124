// Weight gradients on (emulated) tensor cores against sums in double precision.
#include "cuda/weight_products.h"
#include "descent/random.h"
#include "test_stream.h"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <string>
#include <vector>

namespace descent::test {

namespace {

struct Case {
  Conv op;
  std::int64_t pictures, in, height, width;
  int kept = 0;
};

std::vector<Bf16> random_elements(std::size_t count, std::uint32_t item) {
  std::vector<Bf16> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = to_bf16(2 * uniform(random_bits({7, Purpose::demo, 0, item}, i)[0]) - 1);
  return values;
}

std::size_t place(int row, int width, int column) {
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(width) + static_cast<std::size_t>(column);
}

// The sum for one weight, straight from the definition.
double weight_sum(const Gather& of, const std::vector<Bf16>& x, const std::vector<Bf16>& dz, int output, int in,
                  int tap) {
  double sum = 0;
  for (int number = 0; number < of.cells(0); ++number) {
    const GatherCell cell(of, 0, number);
    const int row = cell.origin_row + of.rows.shift(0, tap / of.columns.kernel);
    const int column = cell.origin_column + of.columns.shift(0, tap % of.columns.kernel);
    if (row < 0 || row >= of.rows.source || column < 0 || column >= of.columns.source) continue;
    const int source = (cell.picture * of.rows.source + row) * of.columns.source + column;
    sum += static_cast<double>(to_f32(dz[place(number, of.out, output)])) *
           static_cast<double>(to_f32(x[place(source, of.in, in)]));
  }
  return sum;
}

void check_case(const Case& at) {
  const Shape input{at.pictures, at.in, at.height, at.width};
  const auto side = [&](std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                        std::int64_t dilation) {
    return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
  };
  const Shape output{
      at.pictures, at.op.out,
      side(at.height, at.op.kernel.height, at.op.stride.height, at.op.padding.height, at.op.dilation.height),
      side(at.width, at.op.kernel.width, at.op.stride.width, at.op.padding.width, at.op.dilation.width)};
  const Gather gather = forward_gather(at.op, input, output);
  const std::vector<Bf16> x = random_elements(static_cast<std::size_t>(input.elements()), 1);
  const std::vector<Bf16> dz = random_elements(static_cast<std::size_t>(output.elements()), 2);

  const TestStream stream;
  BOOST_REQUIRE(WeightProducts::suits(stream.context(), gather));
  const WeightProducts products(gather, at.kept);
  const int kept = at.kept > 0 ? at.kept : gather.in;
  const DeviceArray<Bf16> x_there(stream, x);
  const DeviceArray<Bf16> dz_there(stream, dz);
  const DeviceArray<float> partial(stream, products.partial_bytes() / sizeof(float));
  const auto count = place(gather.out, kept * gather.kernel(), 0);
  const DeviceArray<float> dw(stream, count);
  products.run(stream.context(), x_there.data(), dz_there.data(), partial.data(), dw.data());
  const std::vector<float> once = dw.download();
  products.run(stream.context(), x_there.data(), dz_there.data(), partial.data(), dw.data());
  BOOST_TEST((dw.download() == once));

  const double tolerated = 1e-6 * std::sqrt(static_cast<double>(gather.cells(0))) + 1e-5;
  std::size_t i = 0;
  for (int output_channel = 0; output_channel < gather.out; ++output_channel) {
    for (int in = 0; in < kept; ++in) {
      for (int tap = 0; tap < gather.kernel(); ++tap, ++i) {
        const double expected = weight_sum(gather, x, dz, output_channel, in, tap);
        BOOST_REQUIRE_SMALL(static_cast<double>(once[i]) - expected, tolerated);
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_on_host)

BOOST_AUTO_TEST_CASE(weight_products_agree_with_the_definition) {
  const std::vector<Case> cases{
      {{.out = 8, .kernel = {3, 3}, .padding = {1, 1}}, 3, 8, 5, 6},
      {{.out = 24, .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1}}, 2, 16, 7, 5},
      {{.out = 40, .kernel = {1, 1}}, 5, 136, 3, 3},  // two tiles of columns
      {{.out = 72, .kernel = {3, 3}, .padding = {2, 2}, .dilation = {2, 2}}, 1, 16, 9, 9},  // 128 outputs
      {{.out = 136, .kernel = {1, 1}, .stride = {2, 2}}, 2, 8, 8, 8},   // two tiles of outputs
      {{.out = 16, .kernel = {3, 3}, .padding = {1, 1}}, 40, 8, 4, 5},  // several parts
      {{.out = 8, .kernel = {2, 2}, .stride = {2, 2}}, 70, 8, 2, 2},    // pictures of one cell
  };
  for (const Case& at : cases) {
    BOOST_TEST_CONTEXT(at.pictures << "×" << at.in << "×" << at.height << "×" << at.width << " to "
                                   << at.op.out)
    check_case(at);
  }
}

BOOST_AUTO_TEST_CASE(weight_products_leave_out_what_does_not_lie_in_packs) {
  const TestStream stream;
  const auto suits = [&](const Conv& op, std::int64_t in) {
    return WeightProducts::suits(stream.context(),
                                 forward_gather(op, Shape{1, in, 4, 4}, Shape{1, op.out, 4, 4}));
  };
  const Conv same{.out = 16, .kernel = {3, 3}, .padding = {1, 1}};
  BOOST_TEST(suits(same, 8));
  BOOST_TEST(!suits(same, 12));
  Conv grouped = same;
  grouped.groups = 2;
  BOOST_TEST(!suits(grouped, 16));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
