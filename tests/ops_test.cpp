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

BOOST_DATA_TEST_CASE(every_device_agrees_with_the_reference, data::make(operations()), operation) {
  for (const OpCase* row : op_cases_of(operation)) {
    reference::ReferenceDevice reference;
    CaseRun expected_run(reference, *row);
    const Outcome expected = expected_run.step();
    for (const std::unique_ptr<Device>& device : devices()) {
      BOOST_TEST_CONTEXT(device->name() << ": " << row->name) {
        CaseRun run(*device, *row);
        const Tolerance tolerated = tolerance(device->parameter_type());
        check_outcome(run.step(), expected, run.store().layout(), tolerated.value, tolerated.gradient);
      }
    }
  }
}

BOOST_DATA_TEST_CASE(a_repeated_step_gives_the_same_bits_and_adds_nothing_up, data::make(operations()),
                     operation) {
  for (const OpCase* row : op_cases_of(operation)) {
    for (const std::unique_ptr<Device>& device : devices()) {
      BOOST_TEST_CONTEXT(device->name() << ": " << row->name) {
        CaseRun run(*device, *row);
        const Outcome first = run.step();
        BOOST_TEST((run.step() == first));
        CaseRun other(*device, *row);
        BOOST_TEST((other.step() == first));
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
