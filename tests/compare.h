// Comparing what a device computed with what the reference computed.
#pragma once

#include "case_run.h"
#include "descent/device.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace descent::test {

// Every device of this machine with choices by rule, not by timing. New ones at each call: nothing that
// one test leaves behind can help another.
[[nodiscard]] std::vector<std::unique_ptr<Device>> devices(int threads = 2);

[[nodiscard]] double largest(std::span<const float> values);  // magnitude

// Fails the test at hand unless max |actual − expected| ≤ tolerated · scale; not-a-number is never near.
void check_near(const std::string& what, std::span<const float> actual, std::span<const float> expected,
                double scale, double tolerated);

// Outputs, losses, statistics and all gradients, each by its own scale (tolerances.h).
void check_outcome(const Outcome& actual, const Outcome& expected, const ParameterLayout& layout, double value,
                   double gradient);

}  // namespace descent::test
