// Comparing what a device computed with what the reference computed.
#pragma once

#include "case_run.h"
#include "descent/device.h"

#include <boost/test/unit_test.hpp>

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace descent::test {

// A device with what tells it from others of its name: "cpu", "cpu, nhwc", "cpu, own loops".
struct TestedDevice {
  std::string name;
  std::unique_ptr<Device> device;
};

// Choices by rule, not by timing: the same in every run.
[[nodiscard]] DeviceOptions by_rule(int threads);

// Every device of this machine with choices by rule, not by timing. New ones at each call: nothing that
// one test leaves behind can help another.
[[nodiscard]] std::vector<TestedDevice> devices(int threads = 2);
// Of these the CUDA ones: the device on the host's emulation, and where there is one a GPU.
[[nodiscard]] std::vector<TestedDevice> cuda_devices();
[[nodiscard]] std::unique_ptr<Device> find_gpu();  // null where there is none
// A precondition of tests: without it they are skipped.
[[nodiscard]] boost::test_tools::assertion_result there_is_a_gpu(boost::unit_test::test_unit_id unit);
// The same, and beside each the choices that it did not make: every layout, and its loops where it would
// take a library's code.
[[nodiscard]] std::vector<TestedDevice> devices_with_all_choices(int threads = 2);

// Of the device's algorithms, over that of direct sums (tolerances.h).
[[nodiscard]] double rounding_of(const Device& device);

[[nodiscard]] double largest(std::span<const float> values);  // magnitude

// Fails the test at hand unless max |actual − expected| ≤ tolerated · scale; not-a-number is never near.
void check_near(const std::string& what, std::span<const float> actual, std::span<const float> expected,
                double scale, double tolerated);

// Outputs, losses, statistics and all gradients, each by its own scale (tolerances.h).
void check_outcome(const Outcome& actual, const Outcome& expected, const ParameterLayout& layout, double value,
                   double gradient);

}  // namespace descent::test
