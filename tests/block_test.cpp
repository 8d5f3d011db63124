// Layers that one kernel computes: convolution, batch normalisation, addition and the activation behind them.
#include "bound_plan.h"
#include "compare.h"
#include "cpu/device.h"
#include "network_builder.h"
#include "op_cases.h"
#include "reference/device.h"
#include "tolerances.h"
#include "watched_step.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace descent::test {
namespace {

const GeneralRelu seed_relu{.leak = 0.1, .sub = 0.4};

OpCase chain(const Shape& input, const std::vector<Op>& ops, std::int64_t batch) {
  NetworkBuilder builder(input);
  OpCase row;
  for (const Op& op : ops) {
    builder.add(op);
    row.name += (row.name.empty() ? "" : ", ") + std::string(name(op));
  }
  row.name += " of " + to_string(input.with_batch(batch));
  row.network = builder.build();
  row.batch = batch;
  row.seed = 5 + ops.size();
  return row;
}

std::vector<OpCase> blocks() {
  std::vector<OpCase> rows;
  const auto add = [&](const Shape& input, const Conv& conv, const GeneralRelu& relu, std::int64_t batch) {
    rows.push_back(chain(input, {conv, BatchNorm{}, relu}, batch));
    rows.push_back(chain(input, {conv, BatchNorm{}}, batch));
    rows.push_back(chain(input, {conv, relu}, batch));
  };
  add({1, 14, 14}, Conv{.out = 8, .stride = {2, 2}, .padding = {1, 1}}, seed_relu, 32);
  add({8, 7, 7}, Conv{.out = 16, .stride = {2, 2}, .padding = {1, 1}, .bias = false}, seed_relu, 48);
  add({3, 9, 8}, Conv{.out = 10, .kernel = {5, 5}, .padding = {2, 2}}, GeneralRelu{}, 16);
  add({10, 5, 5}, Conv{.out = 24, .kernel = {1, 1}, .bias = false}, GeneralRelu{.leak = 0.2}, 16);
  add({24, 4, 3}, Conv{.out = 3, .padding = {2, 2}, .dilation = {2, 2}}, GeneralRelu{.sub = 0.25}, 16);
  add({8, 6, 6}, Conv{.out = 8, .kernel = {1, 1}, .stride = {2, 2}}, GeneralRelu{.leak = 0.1, .maxv = 0.5}, 32);
  add({16, 5, 5}, Conv{.out = 32, .padding = {1, 1}, .bias = false}, GeneralRelu{}, 5);
  add({1, 12, 11}, Conv{.out = 5, .kernel = {3, 4}, .padding = {1, 2}, .dilation = {1, 2}}, seed_relu, 272);
  add({9, 6, 7}, Conv{.out = 6, .padding = {1, 1}, .groups = 3}, seed_relu, 16);
  rows.push_back(chain({16, 6, 5}, {BatchNorm{}, GeneralRelu{}}, 16));
  rows.push_back(chain({17, 3, 4}, {BatchNorm{}, seed_relu}, 19));
  rows.push_back(chain({10, 1, 1}, {Flatten{}, Linear{.out = 12}, BatchNorm{}, GeneralRelu{}}, 19));
  // One after the other: the input gradient of a block is the output gradient of the one before.
  rows.push_back(chain({1, 12, 12},
                       {Conv{.out = 8, .stride = {2, 2}, .padding = {1, 1}}, BatchNorm{}, seed_relu,
                        Conv{.out = 16, .stride = {2, 2}, .padding = {1, 1}}, BatchNorm{}, seed_relu,
                        Conv{.out = 10, .kernel = {3, 3}}, Flatten{}},
                       32));
  // A mean behind an activation leaves the bias its gradient.
  rows.push_back(
      chain({3, 9, 8}, {Conv{.out = 10}, GeneralRelu{.leak = 0.1}, BatchNorm{}, Conv{.out = 4}}, 32));
  // Neighbours that take over each other's passes, over blocks of pictures that no number of threads shares
  // evenly: a normalisation with an activation, without one, and an activation without a normalisation.
  rows.push_back(chain({3, 9, 8},
                       {Conv{.out = 10, .kernel = {5, 5}, .stride = {2, 2}, .padding = {2, 2}}, BatchNorm{},
                        seed_relu, Conv{.out = 9, .padding = {1, 1}, .bias = false}, BatchNorm{},
                        Conv{.out = 12, .kernel = {1, 1}}, GeneralRelu{}, Conv{.out = 5, .bias = false},
                        BatchNorm{}, GeneralRelu{.leak = 0.1, .maxv = 0.5}, Conv{.out = 6, .kernel = {1, 1}}},
                       208));
  // First convolutions whose output is made again where nobody wants the input's gradient; behind the last one
  // it cannot be: what an activation with a limit was given does not show in what it gave.
  const auto first = [&](const Conv& conv, const std::vector<Op>& between, std::int64_t batch) {
    std::vector<Op> ops{conv, BatchNorm{}};
    ops.insert(ops.end(), between.begin(), between.end());
    ops.insert(ops.end(), {Conv{.out = 7, .padding = {1, 1}}, BatchNorm{}, GeneralRelu{}, Conv{.out = 4}});
    rows.push_back(chain({3, 9, 8}, ops, batch));
  };
  first(Conv{.out = 9, .stride = {2, 1}, .padding = {1, 1}, .bias = false}, {}, 208);
  first(Conv{.out = 16, .padding = {2, 1}}, {GeneralRelu{}}, 48);
  first(Conv{.out = 10, .kernel = {2, 4}, .padding = {0, 2}, .dilation = {2, 1}}, {seed_relu}, 80);
  first(Conv{.out = 8, .kernel = {1, 1}}, {GeneralRelu{.leak = 0.1, .maxv = 0.5}}, 32);
  first(Conv{.out = 8, .padding = {1, 1}}, {GeneralRelu{.leak = 0.3}}, 16);
  return rows;
}

OpCase residual(const GeneralRelu& relu, std::int64_t batch) {
  NetworkBuilder builder({8, 6, 6});
  const ValueId main = builder.add(Conv{.out = 16, .padding = {1, 1}, .bias = false}, {0});
  const ValueId normal = builder.add(BatchNorm{}, {main});
  const ValueId skip = builder.add(Conv{.out = 16, .kernel = {1, 1}}, {0});
  const ValueId sum = builder.add(Add{}, {normal, skip});
  const ValueId active = builder.add(relu, {sum});
  // Each value has one reader: gradients that share memory must not be written over.
  const ValueId other = builder.add(Conv{.out = 16, .kernel = {1, 1}}, {0});
  const ValueId again = builder.add(Add{}, {active, other});
  builder.add(relu, {again});
  OpCase row;
  row.name = "two sums";
  row.network = builder.build();
  row.batch = batch;
  row.seed = 77;
  return row;
}

void check_everywhere(const OpCase& row) {
  BOOST_TEST_CONTEXT(row.name) {
    reference::ReferenceDevice reference;
    CaseRun expected_run(reference, row);
    const Outcome expected = expected_run.step();
    for (const auto& [name, device] : devices_with_all_choices()) {
      BOOST_TEST_CONTEXT(name) {
        for (const bool input_gradient : {true, false}) {
          Outcome wanted = expected;
          if (!input_gradient) wanted.input_gradient.clear();
          CaseRun run(*device, row, input_gradient);
          const Tolerance tolerated = tolerance(device->parameter_type());
          const Outcome first = run.step();
          check_outcome(first, wanted, run.store().layout(), tolerated.value, tolerated.gradient);
          BOOST_TEST((run.step() == first));
        }
      }
    }
  }
}

bool has_groups(const OpCase& row) {
  return std::any_of(row.network.layers.begin(), row.network.layers.end(), [](const Layer& layer) {
    const auto* conv = std::get_if<Conv>(&layer.op);
    return conv != nullptr && conv->groups > 1;
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(block)

BOOST_AUTO_TEST_CASE(layers_computed_together_agree_with_the_reference_in_every_layout) {
  for (const OpCase& row : blocks()) check_everywhere(row);
}

BOOST_AUTO_TEST_CASE(sums_with_their_activation_agree_with_the_reference_in_every_layout) {
  for (const std::int64_t batch : {16, 5}) {
    check_everywhere(residual(GeneralRelu{}, batch));
    check_everywhere(residual(seed_relu, batch));
    check_everywhere(residual(GeneralRelu{.leak = 0.1, .maxv = 0.5}, batch));
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bit) {
  for (const OpCase& row : blocks()) {
    BOOST_TEST_CONTEXT(row.name) {
      for (const Layout layout : {n16chw, nchw}) {
        CpuDevice one(by_rule(1), {layout, false});  // the library's sums depend on its team
        CpuDevice three(by_rule(3), {layout, false});
        for (const bool input_gradient : {true, false}) {
          CaseRun alone(one, row, input_gradient);
          CaseRun shared(three, row, input_gradient);
          BOOST_TEST((alone.step() == shared.step()));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_block_taken_apart_gives_the_same_bits) {
  for (const OpCase& row : blocks()) {
    if (row.batch % 16 != 0 || has_groups(row)) continue;  // not in this layout
    BOOST_TEST_CONTEXT(row.name) {
      CpuDevice device(by_rule(2), {n16chw, true});
      const auto whole = step_watching(device, row, {});
      std::vector<std::size_t> all(row.network.layers.size());
      for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
      BOOST_TEST((step_watching(device, row, all) == whole));
      BOOST_TEST((step_watching(device, row, {0}) == whole));
    }
  }
}

BOOST_AUTO_TEST_CASE(an_output_that_its_reader_makes_can_be_watched) {
  const OpCase row = chain(
      {3, 9, 8},
      {Conv{.out = 10, .padding = {1, 1}}, BatchNorm{}, seed_relu, Conv{.out = 9}, BatchNorm{}, Conv{.out = 5}},
      48);
  const auto means = [&](Device& device) {
    const WatchedPlan plan(device, row, {2, 4}, false);
    plan.forward();
    std::vector<float> found;
    for (const LayerSummary& layer : plan.plan->summaries()) {
      found.push_back(static_cast<float>(layer.output->mean));
      found.push_back(static_cast<float>(layer.output->standard_deviation()));
    }
    return found;
  };
  reference::ReferenceDevice reference;
  CpuDevice device(by_rule(2), {n16chw, true});
  check_near("means and deviations", means(device), means(reference), 1, tolerance(DType::f32).value);
}

// A first convolution's, of which the plan keeps nothing of that size.
const OpCase& made_again() {
  static const OpCase row = chain(
      {3, 9, 8}, {Conv{.out = 10, .padding = {1, 1}}, BatchNorm{}, seed_relu, Conv{.out = 2}, BatchNorm{}}, 96);
  return row;
}

BOOST_AUTO_TEST_CASE(an_output_that_is_made_again_has_no_memory_unless_it_is_watched) {
  const OpCase& row = made_again();
  CpuDevice device(by_rule(2), {n16chw, true});
  const auto bytes = [&](const std::vector<std::size_t>& layers, bool input_gradient) {
    return WatchedPlan(device, row, layers, input_gradient).plan->workspace_bytes();
  };
  const std::size_t of_output =
      TensorDesc{DType::f32, row.network.layers[2].output.with_batch(row.batch)}.bytes();
  BOOST_TEST(bytes({}, false) + of_output <= bytes({2}, false));
  BOOST_TEST(bytes({}, false) + of_output <= bytes({}, true));
}

BOOST_AUTO_TEST_CASE(watching_an_output_that_is_made_again_changes_no_bit) {
  CpuDevice device(by_rule(2), {n16chw, true});
  BOOST_TEST(
      (step_watching(device, made_again(), {2}, false) == step_watching(device, made_again(), {}, false)));
}

BOOST_AUTO_TEST_CASE(an_output_that_two_convolutions_read_is_written) {
  NetworkBuilder builder({3, 9, 8});
  builder.add(Conv{.out = 10, .padding = {1, 1}}, {0});
  builder.add(BatchNorm{}, {1});
  const ValueId active = builder.add(seed_relu, {2});
  const ValueId one = builder.add(Conv{.out = 6, .bias = false}, {active});
  const ValueId other = builder.add(Conv{.out = 6}, {active});
  builder.add(Add{}, {one, other});
  OpCase row;
  row.name = "two readers of a first convolution";
  row.network = builder.build();
  row.batch = 48;
  row.seed = 21;
  check_everywhere(row);
}

BOOST_AUTO_TEST_CASE(what_is_not_a_number_is_found_in_an_output_that_has_no_memory) {
  const OpCase& row = made_again();
  CpuDevice device(by_rule(2), {n16chw, true});
  WatchedPlan plan(device, row, {}, false);
  plan.forward();
  BOOST_TEST(plan.plan->first_nonfinite_layer({}).value_or("none") == "none");
  HostParameters parameters = plan.store.download();
  parameters.trained[0] = std::numeric_limits<float>::quiet_NaN();
  plan.store.upload(parameters);
  BOOST_TEST(plan.plan->first_nonfinite_layer({}).value_or("none") == "0 + 1 + 2");
}

BOOST_AUTO_TEST_CASE(a_block_is_one_operation_in_the_report) {
  const OpCase row = chain({8, 7, 7}, {Conv{.out = 16}, BatchNorm{}, seed_relu}, 32);
  for (const Layout layout : {n16chw, nchw}) {
    CpuDevice device(by_rule(1), {layout, true});
    CaseRun run(device, row);
    const std::vector<OperationReport> reports = run.plan().explain(0);
    const auto of_block = [](const OperationReport& report) {
      return report.layer == "0 + 1 + 2" && !report.operation.starts_with("reorder");
    };
    BOOST_TEST(std::count_if(reports.begin(), reports.end(), of_block) == 2);  // forward and backward
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
