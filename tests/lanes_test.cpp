// Pictures innermost, sixteen to a vector: every operation of the table again, in whole vectors of pictures.
#include "cpu/lanes.h"
#include "compare.h"
#include "cpu/device.h"
#include "op_cases.h"
#include "reference/device.h"
#include "tolerances.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace descent::test {
namespace {

CpuDevice lanes_device(int threads) {
  DeviceOptions options;
  options.threads = threads;
  options.use_plan_cache = false;
  options.measure = false;
  return CpuDevice(options, {n16chw, true});
}

OpCase with_batch(const OpCase& row, std::int64_t batch) {
  OpCase copy = row;
  copy.batch = batch;
  return copy;
}

using Pairs = std::set<std::pair<std::int64_t, std::int64_t>>;  // of output and input

Pairs reached(const std::vector<AxisRun>& runs, bool forward) {
  Pairs pairs;
  for (const AxisRun& run : runs) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      for (const AxisTap& tap : run.taps) {
        const std::int64_t computed = run.first + i * run.stride;
        const std::int64_t read = tap.source + i * run.step;
        pairs.insert(forward ? std::pair{computed, read} : std::pair{read, computed});
      }
    }
  }
  return pairs;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(picture_lanes)

BOOST_AUTO_TEST_CASE(every_operation_agrees_with_the_reference_in_whole_vectors_of_pictures) {
  reference::ReferenceDevice reference;
  for (const std::string_view operation : operations()) {
    for (const OpCase* row : op_cases_of(operation)) {
      for (const std::int64_t batch : {16, 48}) {
        BOOST_TEST_CONTEXT(operation << ", " << row->name << ", batch " << batch) {
          const OpCase wide = with_batch(*row, batch);
          CaseRun expected_run(reference, wide);
          const Outcome expected = expected_run.step();
          CpuDevice device = lanes_device(2);
          CaseRun run(device, wide);
          const Tolerance tolerated = tolerance(DType::f32);
          check_outcome(run.step(), expected, run.store().layout(), tolerated.value, tolerated.gradient);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bit) {
  for (const OpCase* row : op_cases_of("conv")) {
    const OpCase wide = with_batch(*row, 160);
    BOOST_TEST_CONTEXT(row->name) {
      CpuDevice one = lanes_device(1);
      CpuDevice three = lanes_device(3);
      CaseRun alone(one, wide);
      CaseRun shared(three, wide);
      BOOST_TEST((alone.step() == shared.step()));
    }
  }
}

BOOST_AUTO_TEST_CASE(convolutions_without_groups_are_computed_in_this_layout) {
  bool any = false;
  for (const OpCase* row : op_cases_of("conv")) {
    const OpCase wide = with_batch(*row, 16);
    CpuDevice device = lanes_device(1);
    CaseRun run(device, wide);
    for (const OperationReport& report : run.plan().explain(0)) {
      if (report.operation == "conv forward") any = any || report.layout == "n16chw";
    }
  }
  BOOST_TEST(any);
}

BOOST_AUTO_TEST_CASE(runs_reach_every_pair_of_input_and_output_once) {
  for (const Axis axis :
       {Axis{28, 14, 3, 2, 1, 1}, Axis{7, 4, 3, 2, 1, 1}, Axis{2, 1, 3, 2, 1, 1}, Axis{9, 9, 3, 1, 1, 1},
        Axis{11, 3, 3, 3, 0, 2}, Axis{5, 5, 1, 1, 0, 1}, Axis{6, 2, 2, 4, 0, 1}, Axis{1, 1, 3, 1, 1, 1}}) {
    Pairs expected;
    for (std::int64_t out = 0; out < axis.output; ++out) {
      for (std::int64_t k = 0; k < axis.kernel; ++k) {
        const std::int64_t in = out * axis.stride - axis.padding + k * axis.dilation;
        if (in >= 0 && in < axis.input) expected.insert({out, in});
      }
    }
    for (const std::int64_t longest : {1, 3}) {
      BOOST_TEST((reached(forward_runs(axis, longest), true) == expected));
      BOOST_TEST((reached(backward_runs(axis, longest), false) == expected));
      for (const AxisRun& run : backward_runs(axis, longest)) BOOST_TEST(run.count <= longest);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
