// oneDNN falls back to reference code without a word, hundreds of times slower. No operation of a built-in
// network may end there.

#include "bound_plan.h"
#include "cpu/onednn.h"
#include "descent/device.h"
#include "descent/network.h"
#include "descent/parameters.h"

#include <boost/test/unit_test.hpp>

using namespace descent;

BOOST_AUTO_TEST_SUITE(no_reference_code)

BOOST_AUTO_TEST_CASE(in_any_operation_of_a_built_in_network) {
  DeviceOptions options;
  options.measure = false;
  const auto device = make_device("cpu", options);
  for (const BuiltinNetwork& builtin : builtin_networks()) {
    const Network network = load_network(std::string(builtin.name));
    ParameterStore store(*device, parameter_layout(network), true);
    for (const Mode mode : {Mode::train, Mode::infer}) {
      const test::BoundPlan plan(*device, network, {.mode = mode, .batch = 2, .loss = mode == Mode::train},
                                 store);
      const auto reports = plan->explain(0);
      BOOST_TEST(reports.size() >= network.layers.size() / 4);  // a kernel may compute several layers
      for (const OperationReport& report : reports) {
        BOOST_TEST_CONTEXT(builtin.name << " " << report.layer << " " << report.operation) {
          BOOST_TEST(!report.implementation.empty());
          BOOST_TEST(!is_reference(report.implementation), report.implementation);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(and_the_name_of_reference_code_is_known) {
  BOOST_TEST(is_reference("ref:any"));
  BOOST_TEST(is_reference("gemm:ref"));
  BOOST_TEST(!is_reference("jit:avx512_core"));
}

BOOST_AUTO_TEST_SUITE_END()
