// The CUDA kernels that sum and gather against the reference, unit by unit, at shapes that the table of
// operation cases lacks: convolutions with what follows them, tiles that end within channels and cells, many
// parts.
#include "cuda/kernels.h"
#include "compare.h"
#include "network_builder.h"
#include "reference/device.h"
#include "tolerances.h"
#include "unit_run.h"

#include <boost/test/unit_test.hpp>

#include <string>
#include <type_traits>
#include <vector>

namespace descent::test {

namespace {

OpCase unit_case(const Shape& input, const std::vector<Op>& ops, std::int64_t batch, Mode mode = Mode::train) {
  NetworkBuilder builder(input);
  OpCase row;
  row.name = to_string(input.with_batch(batch));
  for (const Op& op : ops) {
    if (std::holds_alternative<Add>(op)) {
      builder.add(op, {builder.build().layers.size(), 0});
    } else {
      builder.add(op);
    }
    row.name += " → " + std::string(descent::name(op));
  }
  row.network = builder.build();
  row.batch = batch;
  row.mode = mode;
  row.seed = 4000 + static_cast<std::uint64_t>(input.elements() * batch);
  return row;
}

MakeKernel maker_of(const OpCase& row) {
  const bool flat = std::holds_alternative<Flatten>(row.network.layers.front().op);
  return std::visit(
      []<class Operation>(const Operation&) -> MakeKernel {
        // The others, element by element, are tested through the device.
        constexpr bool looks_around =
            std::is_same_v<Operation, Conv> || std::is_same_v<Operation, Linear> ||
            std::is_same_v<Operation, BatchNorm> || std::is_same_v<Operation, AvgPool> ||
            std::is_same_v<Operation, MaxPool> || std::is_same_v<Operation, GlobalAvgPool>;
        if constexpr (!looks_around) return nullptr;
        return [](const KernelRequest& request, Layout layout, const CudaContext& context) {
          return make_cuda_kernel(std::get<Operation>(request.unit.first().op), request, layout, context);
        };
      },
      row.network.layers[flat ? 1 : 0].op);
}

// A value that was rounded may lie on the other side of a kink, and shows in every gradient before it.
OpCase without_kinks(OpCase row) {
  for (Layer& layer : row.network.layers) {
    if (auto* const relu = std::get_if<GeneralRelu>(&layer.op)) *relu = {.leak = 1, .sub = relu->sub};
  }
  return row;
}

void check_unit(const OpCase& given, DType precision) {
  const OpCase row = precision == DType::bf16 ? without_kinks(given) : given;
  BOOST_TEST_CONTEXT(name(precision) << ": " << row.name) {
    reference::ReferenceDevice reference;
    CaseRun expected(reference, row, true, precision);
    const Tolerance tolerated = tolerance(precision);
    const Outcome once = run_unit(maker_of(row), row, precision);
    check_outcome(once, expected.step(), expected.store().layout(), tolerated.value, tolerated.gradient);
    BOOST_TEST((run_unit(maker_of(row), row, precision, {.again = true, .beside = true}) == once));
  }
}

// Rows of the table that one kernel computes.
std::vector<const OpCase*> rows_of_one_kernel() {
  std::vector<const OpCase*> rows;
  for (const OpCase& row : op_cases()) {
    const std::size_t layers = row.network.layers.size();
    const bool flat = std::holds_alternative<Flatten>(row.network.layers.front().op);
    if (layers == (flat ? 2 : 1) && maker_of(row) != nullptr && !row.loss) rows.push_back(&row);
  }
  return rows;
}

const GeneralRelu leaky{.leak = 0.1, .sub = 0.4};
const GeneralRelu limited{.leak = 0.1, .sub = 0.4, .maxv = 0.5};

std::vector<OpCase> training_units() {
  const Conv seed{.out = 8, .stride = {2, 2}, .padding = {1, 1}};
  const auto with_out = [&](std::int64_t out) {
    Conv conv = seed;
    conv.out = out;
    return conv;
  };
  std::vector<OpCase> all;
  all.push_back(unit_case({1, 28, 28}, {seed, BatchNorm{}, leaky}, 19));
  all.push_back(unit_case({8, 14, 14}, {with_out(16), BatchNorm{}, leaky}, 19));
  all.push_back(unit_case({16, 7, 7}, {with_out(32), BatchNorm{}, leaky}, 19));
  all.push_back(unit_case({32, 4, 4}, {with_out(64), BatchNorm{}, leaky}, 38));
  all.push_back(unit_case({64, 2, 2}, {with_out(10)}, 70));
  all.push_back(unit_case({64, 2, 2}, {with_out(12), BatchNorm{}, leaky}, 70));  // teams smaller than a warp
  // Enough cells for larger tiles.
  all.push_back(unit_case({8, 28, 28}, {with_out(16), BatchNorm{}, leaky}, 15));
  all.push_back(unit_case({12, 56, 56}, {with_out(12), BatchNorm{}, leaky}, 21));
  all.push_back(unit_case({20, 56, 56}, {with_out(20)}, 21));
  // More tiles than there are parts.
  all.push_back(unit_case({1, 132, 132}, {seed, BatchNorm{}, leaky}, 31));
  all.push_back(unit_case({4, 94, 94}, {with_out(5), BatchNorm{}, leaky}, 31));
  // Whole pictures in shared memory: channels that end within fours, several rounds, tiles that end within
  // pictures, two tiles of channels, windows that skip cells and reach far over the edges.
  all.push_back(unit_case({1, 28, 28}, {seed, BatchNorm{}, leaky}, 700));
  all.push_back(unit_case({8, 14, 14}, {with_out(16), BatchNorm{}, leaky}, 60));
  all.push_back(unit_case({3, 9, 11}, {with_out(20), BatchNorm{}, leaky}, 33));
  all.push_back(unit_case({10, 6, 5}, {Conv{.out = 70, .padding = {1, 1}, .bias = false}, BatchNorm{}}, 40));
  all.push_back(unit_case({12, 5, 6}, {Conv{.out = 9, .kernel = {1, 1}}, leaky}, 35));
  all.push_back(unit_case({16, 7, 7}, {Conv{.out = 24, .kernel = {5, 5}, .padding = {2, 2}}, limited}, 37));
  all.push_back(
      unit_case({4, 11, 8}, {Conv{.out = 8, .kernel = {2, 3}, .stride = {4, 2}, .padding = {0, 4}}}, 32));
  // Outputs that lie wholly beyond the edge: no input's gradient reads theirs, the weights' does.
  all.push_back(unit_case(
      {4, 11, 8}, {Conv{.out = 8, .kernel = {2, 3}, .stride = {4, 2}, .padding = {0, 4}}, BatchNorm{}, leaky},
      32));
  all.push_back(unit_case({8, 9, 9}, {Conv{.out = 8, .padding = {2, 2}, .dilation = {2, 2}}, BatchNorm{}}, 34));
  all.push_back(unit_case({3, 9, 7}, {Conv{.out = 20, .padding = {1, 1}}, BatchNorm{}, limited}, 5));
  all.push_back(unit_case({12, 6, 5}, {Conv{.out = 70, .padding = {1, 1}, .bias = false}, BatchNorm{}}, 3));
  all.push_back(unit_case({5, 6, 5}, {Conv{.out = 66, .kernel = {1, 1}}, leaky}, 7));
  all.push_back(unit_case({16, 7, 7}, {Conv{.out = 24, .kernel = {5, 5}, .padding = {2, 2}}, limited}, 3));
  all.push_back(unit_case({8, 7, 6}, {Conv{.out = 8, .padding = {1, 1}, .groups = 8}, BatchNorm{}, leaky}, 3));
  all.push_back(
      unit_case({16, 6, 6}, {Conv{.out = 24, .padding = {1, 1}, .groups = 2}, BatchNorm{}, leaky}, 5));
  all.push_back(unit_case({4, 5, 5}, {Conv{.out = 4, .kernel = {13, 11}, .padding = {6, 5}}}, 2));
  all.push_back(unit_case({1, 6, 6}, {BatchNorm{}, leaky}, 5));
  all.push_back(unit_case({24, 3, 3}, {BatchNorm{}, limited}, 5));
  all.push_back(unit_case({130, 2, 2}, {BatchNorm{}, leaky}, 5));
  all.push_back(unit_case({40, 1, 1}, {Flatten{}, Linear{.out = 150}}, 70));
  return all;
}

std::vector<OpCase> inference_units() {
  const Mode infer = Mode::infer;
  std::vector<OpCase> all;
  all.push_back(
      unit_case({16, 5, 6}, {Conv{.out = 16, .padding = {1, 1}}, BatchNorm{}, Add{}, leaky}, 3, infer));
  all.push_back(
      unit_case({10, 5, 6}, {Conv{.out = 10, .padding = {1, 1}}, BatchNorm{}, Add{}, leaky}, 1, infer));
  all.push_back(unit_case(
      {3, 12, 9}, {Conv{.out = 64, .kernel = {7, 7}, .padding = {3, 3}}, BatchNorm{}, limited}, 2, infer));
  all.push_back(
      unit_case({9, 6, 7}, {Conv{.out = 6, .padding = {1, 1}, .groups = 3}, BatchNorm{}, leaky}, 5, infer));
  all.push_back(unit_case({12, 1, 1}, {Flatten{}, Linear{.out = 9}, BatchNorm{}, leaky}, 5, infer));
  all.push_back(
      unit_case({16, 5, 6}, {Conv{.out = 16, .padding = {1, 1}}, BatchNorm{}, Add{}, leaky}, 33, infer));
  // Enough cells for the largest tiles.
  all.push_back(unit_case({4, 60, 60}, {Conv{.out = 64, .kernel = {1, 1}}, leaky}, 10, infer));
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_kernels)

BOOST_AUTO_TEST_CASE(units_of_the_table_agree_with_the_reference) {
  BOOST_TEST(rows_of_one_kernel().size() > 90U);
  for (const DType precision : {DType::f32, DType::bf16})
    for (const OpCase* row : rows_of_one_kernel()) check_unit(*row, precision);
}

BOOST_AUTO_TEST_CASE(units_of_several_layers_agree_with_the_reference) {
  for (const DType precision : {DType::f32, DType::bf16}) {
    for (const OpCase& row : training_units()) check_unit(row, precision);
    for (const OpCase& row : inference_units()) check_unit(row, precision);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
