// The library's convolution as a kernel, with naive loops in the place of cuDNN's graphs: orders of weights,
// folding, places in memory, and what follows the graph.
#include "compare.h"
#include "cuda/library/conv_choice.h"
#include "cuda/library/kernels.h"
#include "library_double.h"
#include "network_builder.h"
#include "reference/device.h"
#include "tolerances.h"
#include "unit_run.h"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

namespace descent::test {

namespace {

OpCase unit_case(const Shape& input, const std::vector<Op>& ops, std::int64_t batch, Mode mode) {
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
  row.seed = 5000 + static_cast<std::uint64_t>(input.elements() * batch);
  return row;
}

const GeneralRelu leaky{.leak = 0.1, .sub = 0.4};
const Conv three{.out = 6, .padding = {1, 1}};
const Conv one{.out = 10, .kernel = {1, 1}};
const Conv odd{.out = 6, .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}, .groups = 3, .bias = false};

void check_unit(const OpCase& row, DType precision, bool has_endings) {
  BOOST_TEST_CONTEXT(name(precision) << ": " << row.name << (has_endings ? "" : ", endings apart")) {
    const LibraryHandles handles{has_endings};
    LibraryHandles side_handles = handles;
    const MakeKernel make = [&](const KernelRequest& request, Layout /*layout*/, const CudaContext& context) {
      CudaTuner by_rule(context, nullptr);
      side_handles.stream = beside(context).stream;
      return make_conv_library(request, {context, handles, side_handles, by_rule, TimedBatch(request.plan)});
    };
    reference::ReferenceDevice reference;
    CaseRun expected(reference, row, true, precision);
    const Tolerance tolerated = tolerance(precision);
    const Outcome once = run_unit(make, row, precision);
    check_outcome(once, expected.step(), expected.store().layout(), tolerated.value, tolerated.gradient);
    BOOST_TEST((run_unit(make, row, precision, {.again = true, .beside = true}) == once));
  }
}

void check_units(const std::vector<OpCase>& rows) {
  for (const OpCase& row : rows) {
    for (const bool has_endings : {true, false}) check_unit(row, DType::f32, has_endings);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_library)

BOOST_AUTO_TEST_CASE(a_trained_convolution_agrees_with_the_reference) {
  const Mode mode = Mode::train;
  check_units({unit_case({5, 6, 7}, {three}, 3, mode), unit_case({5, 6, 7}, {one}, 3, mode),
               unit_case({6, 7, 5}, {odd}, 2, mode), unit_case({40, 1, 1}, {one}, 200, mode)});
}

BOOST_AUTO_TEST_CASE(a_trained_unit_agrees_with_the_reference) {
  const Mode mode = Mode::train;
  check_units({unit_case({5, 6, 7}, {three, BatchNorm{}, leaky}, 3, mode),
               unit_case({6, 7, 5}, {odd, BatchNorm{}}, 5, mode),
               unit_case({5, 6, 7}, {one, BatchNorm{}, leaky}, 3, mode)});
}

BOOST_AUTO_TEST_CASE(an_answering_unit_agrees_with_the_reference) {
  const Mode mode = Mode::infer;
  const Conv same{.out = 8, .padding = {1, 1}};
  check_units({unit_case({5, 6, 7}, {three}, 3, mode), unit_case({5, 6, 7}, {one, leaky}, 1, mode),
               unit_case({6, 7, 5}, {odd, BatchNorm{}, GeneralRelu{}}, 2, mode),
               unit_case({8, 5, 6}, {same, BatchNorm{}, Add{}, leaky}, 3, mode),
               unit_case({8, 5, 6}, {same, BatchNorm{}, Add{}, GeneralRelu{}}, 3, mode)});
}

BOOST_AUTO_TEST_CASE(bf16_agrees_within_its_digits) {
  check_unit(unit_case({5, 6, 7}, {three, BatchNorm{}}, 3, Mode::train), DType::bf16, true);
  check_unit(unit_case({5, 6, 7}, {one}, 3, Mode::train), DType::bf16, false);
  check_unit(unit_case({8, 5, 6}, {three, BatchNorm{}}, 3, Mode::infer), DType::bf16, true);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
