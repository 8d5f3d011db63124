// Every device against the reference, over the table of operation cases; and the contracts of a plan.
#include "case_run.h"
#include "compare.h"
#include "descent/device.h"
#include "op_cases.h"
#include "reference/device.h"
#include "tolerances.h"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace descent::test {

namespace data = boost::unit_test::data;

BOOST_AUTO_TEST_SUITE(ops)

BOOST_AUTO_TEST_CASE(the_table_holds_at_least_150_rows_and_ten_of_each_operation) {
  BOOST_TEST(op_cases().size() >= 150U);
  std::set<std::string> names;
  for (const OpCase& row : op_cases()) {
    names.insert(row.operation + ": " + row.name);
    const bool belongs =
        row.loss || std::any_of(row.network.layers.begin(), row.network.layers.end(),
                                [&](const Layer& layer) { return descent::name(layer.op) == row.operation; });
    BOOST_TEST(belongs, row.name << " has no " << row.operation);
  }
  BOOST_TEST(names.size() == op_cases().size());
  for (const std::string_view operation : operations())
    BOOST_TEST(op_cases_of(operation).size() >= 10U, "too few rows of " << operation);
}

// With every choice that a device has; the second step shows that nothing is added up or left behind.
BOOST_DATA_TEST_CASE(every_device_agrees_with_the_reference_twice, data::make(operations()), operation) {
  for (const OpCase* row : op_cases_of(operation)) {
    reference::ReferenceDevice reference;
    CaseRun expected_run(reference, *row);
    const Outcome expected = expected_run.step();
    for (const auto& [name, device] : devices_with_all_choices()) {
      BOOST_TEST_CONTEXT(name << ": " << row->name) {
        CaseRun run(*device, *row);
        const Tolerance tolerated = tolerance(device->parameter_type());
        const Outcome first = run.step();
        check_outcome(first, expected, run.store().layout(), tolerated.value, tolerated.gradient);
        BOOST_TEST((run.step() == first));
      }
    }
  }
}

BOOST_DATA_TEST_CASE(a_new_device_gives_the_same_bits, data::make(operations()), operation) {
  const auto some = devices();
  const auto others = devices();
  for (const OpCase* row : op_cases_of(operation)) {
    for (std::size_t i = 0; i < some.size(); ++i) {
      BOOST_TEST_CONTEXT(some[i].name << ": " << row->name) {
        CaseRun run(*some[i].device, *row);
        CaseRun again(*others[i].device, *row);
        BOOST_TEST((run.step() == again.step()));
      }
    }
  }
}

// As in training, where nobody wants the pictures' gradient.
BOOST_DATA_TEST_CASE(parameters_get_the_same_gradients_without_the_inputs, data::make(operations()),
                     operation) {
  for (const auto& [name, device] : devices()) {
    for (const OpCase* row : op_cases_of(operation)) {
      if (row->mode == Mode::infer) continue;
      BOOST_TEST_CONTEXT(name << ": " << row->name) {
        CaseRun with(*device, *row);
        Outcome expected = with.step();
        expected.input_gradient.clear();
        CaseRun without(*device, *row, false);
        const Tolerance tolerated = tolerance(device->parameter_type());
        check_outcome(without.step(), expected, with.store().layout(), tolerated.value, tolerated.gradient);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
