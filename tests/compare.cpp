#include "compare.h"

#include "cpu/device.h"
#include "cpu/layouts.h"
#include "cuda_host/emulated_device.h"
#include "descent/error.h"
#include "tolerances.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <string>

namespace descent::test {

namespace {

// Not-a-number counts as infinitely wrong.
double difference(std::span<const float> a, std::span<const float> b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(error <= worst)) worst = std::isnan(error) ? HUGE_VAL : error;
  }
  return worst;
}

void check_gradients(const Outcome& actual, const Outcome& expected, const ParameterLayout& layout,
                     double tolerated) {
  const std::vector<double> gradients(expected.gradients.begin(), expected.gradients.end());
  for (const ParameterEntry& entry : layout.trained) {
    const auto part = [&](const std::vector<float>& flat) {
      return std::span(flat).subspan(entry.offset, entry.elements());
    };
    check_near("gradient of " + entry.name, part(actual.gradients), part(expected.gradients),
               gradient_scale(gradients, layout, entry), tolerated);
  }
}

void check_statistics(const Outcome& actual, const Outcome& expected, const ParameterLayout& layout,
                      double tolerated) {
  for (const ParameterEntry& entry : layout.statistics) {
    const auto part = [&](const std::vector<float>& flat) {
      return std::span(flat).subspan(entry.offset, entry.elements());
    };
    check_near(entry.name, part(actual.statistics), part(expected.statistics),
               largest(part(expected.statistics)), tolerated);
  }
}

// The cases that would have run on a GPU too; said at the end, in the form in which tools/test counts.
class WithoutGpu {
 public:
  static void note() { cases().insert(boost::unit_test::framework::current_test_case().full_name()); }
  ~WithoutGpu() {
    for (const std::string& name : cases()) {
      for (const char* const piece : {"skip ", name.c_str(), " on a GPU: no CUDA device\n"})
        std::fputs(piece, stdout);
    }
  }

 private:
  static std::set<std::string>& cases() {
    static std::set<std::string> names;
    return names;
  }
};
BOOST_GLOBAL_FIXTURE(WithoutGpu);

}  // namespace

DeviceOptions by_rule(int threads) {
  DeviceOptions options;
  options.threads = threads;
  options.use_plan_cache = false;
  options.measure = false;
  return options;
}

std::vector<TestedDevice> cuda_devices() {
  std::vector<TestedDevice> all;
  all.push_back({"cuda on the host", make_emulated_cuda(by_rule(1))});
  if (auto gpu = find_gpu()) {
    all.push_back({"cuda", std::move(gpu)});
  } else {
    WithoutGpu::note();
  }
  return all;
}

std::unique_ptr<Device> find_gpu() {
  try {
    return make_device("cuda", by_rule(1));
  } catch (const Error&) {
    return nullptr;
  }
}

boost::test_tools::assertion_result there_is_a_gpu(boost::unit_test::test_unit_id /*unit*/) {
  if (find_gpu()) return true;
  boost::test_tools::assertion_result no = false;
  no.message() << "skipped: no CUDA device";
  return no;
}

std::vector<TestedDevice> devices(int threads) {
  std::vector<TestedDevice> all = cuda_devices();
  all.insert(all.begin(), {"cpu", make_device("cpu", by_rule(threads))});
  return all;
}

std::vector<TestedDevice> devices_with_all_choices(int threads) {
  std::vector<TestedDevice> all = devices(threads);
  const auto add_cpu = [&](std::string_view choice, const CpuChoices& choices) {
    all.push_back({"cpu, " + std::string(choice), std::make_unique<CpuDevice>(by_rule(threads), choices)});
  };
  for (const Layout layout : {nchw, nhwc, nchw8c, nchw16c, n16chw})
    add_cpu(layout_name(layout), {layout, true});
  for (const Layout layout : {nhwc, nchw8c, nchw16c}) {
    add_cpu("Winograd in " + std::string(layout_name(layout)), {.layout = layout, .always_winograd = true});
  }
  add_cpu("own loops", {std::nullopt, false});
  add_cpu("own loops in nhwc", {nhwc, false});
  add_cpu("own loops in nChw8c", {nchw8c, false});
  return all;
}

double rounding_of(const Device& device) {
  const auto* const cpu = dynamic_cast<const CpuDevice*>(&device);
  return cpu != nullptr && cpu->choices().always_winograd ? winograd_rounding : 1;
}

double largest(std::span<const float> values) {
  double magnitude = 0;
  for (const float value : values) magnitude = std::max(magnitude, std::abs(static_cast<double>(value)));
  return magnitude;
}

void check_near(const std::string& what, std::span<const float> actual, std::span<const float> expected,
                double scale, double tolerated) {
  BOOST_TEST_CONTEXT(what) {
    BOOST_TEST_REQUIRE(actual.size() == expected.size());
    BOOST_TEST(difference(actual, expected) <= tolerated * scale);
  }
}

void check_outcome(const Outcome& actual, const Outcome& expected, const ParameterLayout& layout, double value,
                   double gradient) {
  check_near("output", actual.output, expected.output, largest(expected.output), value);
  check_near("loss rows", actual.loss_rows, expected.loss_rows, std::max(1.0, largest(expected.loss_rows)),
             value);
  BOOST_TEST(actual.result.correct == expected.result.correct);
  check_near("input gradient", actual.input_gradient, expected.input_gradient, largest(expected.input_gradient),
             gradient);
  check_statistics(actual, expected, layout, value);
  if (!expected.gradients.empty()) check_gradients(actual, expected, layout, gradient);
}

}  // namespace descent::test
