// Inference folds batch norm, residual sums and activations into convolutions and linear layers.
#include "case_run.h"
#include "compare.h"
#include "cpu/device.h"
#include "cpu/layouts.h"
#include "network_builder.h"
#include "plan/claims.h"
#include "reference/device.h"
#include "tolerances.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace descent::test {

namespace {

OpCase inference_case(const Network& network, std::int64_t batch) {
  OpCase row;
  row.network = network;
  row.batch = batch;
  row.mode = Mode::infer;
  row.seed = 77;
  return row;
}

NetworkBuilder block(const Shape& input, const Conv& conv) {
  NetworkBuilder builder(input);
  builder.add(conv);
  builder.add(BatchNorm{});
  return builder;
}

std::vector<float> output_of(CaseRun& run, const OpCase& row) {
  run.load_values();
  run.forward();
  const Shape& shape = row.network.shape(row.network.layers.size());
  std::vector<float> values(static_cast<std::size_t>(row.batch * shape.elements()));
  run.plan().read(Plan::Port::output, values);
  return values;
}

using Change = std::function<void(HostParameters&, const ParameterLayout&)>;

void set(std::vector<float>& flat, const std::vector<ParameterEntry>& entries, std::string_view suffix,
         const std::function<float(std::size_t, float)>& value) {
  for (const ParameterEntry& entry : entries) {
    if (!entry.name.ends_with(suffix)) continue;
    for (std::size_t i = 0; i < entry.elements(); ++i) {
      flat[entry.offset + i] = value(i, flat[entry.offset + i]);
    }
  }
}

// Every choice of every device against the reference, with parameters changed after prepare.
void check_with(const OpCase& row, const Change& change) {
  reference::ReferenceDevice reference;
  CaseRun exact(reference, row);
  HostParameters parameters = exact.values().parameters;
  change(parameters, exact.store().layout());
  exact.store().upload(parameters);
  const std::vector<float> expected = output_of(exact, row);
  for (const auto& [name, device] : devices_with_all_choices()) {
    BOOST_TEST_CONTEXT(name) {
      CaseRun run(*device, row);
      (void)output_of(run, row);  // with what was there at first
      run.store().upload(parameters);
      check_near("output", output_of(run, row), expected, largest(expected),
                 rounding_of(*device) * tolerance(device->parameter_type()).value);
    }
  }
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all;
  for (const std::int64_t batch : {1, 5, 32}) {
    NetworkBuilder plain = block({16, 6, 6}, {.out = 32, .padding = {1, 1}});
    plain.add(GeneralRelu{.leak = 0.1, .sub = 0.4, .maxv = 1.0});
    all.push_back(inference_case(plain.build(), batch));
    NetworkBuilder residual = block({8, 6, 7}, {.out = 8, .padding = {1, 1}, .groups = 2});
    residual.add(Add{}, {0, 2});
    residual.add(GeneralRelu{});
    all.push_back(inference_case(residual.build(), batch));
  }
  NetworkBuilder linear({12, 1, 1});
  linear.add(Flatten{});
  linear.add(Linear{.out = 9});
  linear.add(BatchNorm{});
  linear.add(GeneralRelu{.leak = 0.1});
  all.push_back(inference_case(linear.build(), 5));
  return all;
}

// Of one kernel each, in bf16 for whole vectors of thirty-two pictures.
std::vector<OpCase> cases_in_lanes() {
  std::vector<OpCase> all;
  const auto add = [&](const Shape& input, const Conv& conv, const GeneralRelu& relu, std::int64_t batch) {
    NetworkBuilder builder = block(input, conv);
    builder.add(relu);
    all.push_back(inference_case(builder.build(), batch));
    all.back().name = to_string(input.with_batch(batch));
  };
  add({1, 14, 14}, {.out = 8, .stride = {2, 2}, .padding = {1, 1}}, {.leak = 0.1, .sub = 0.4}, 96);
  add({3, 9, 8}, {.out = 10, .kernel = {5, 5}, .padding = {2, 2}}, {}, 32);
  add({10, 5, 3}, {.out = 24, .kernel = {1, 1}, .bias = false}, {.leak = 0.2, .maxv = 0.5}, 64);
  return all;
}

// In the layout of whole vectors, and where the plain input is turned as it is read.
std::vector<CpuChoices> choices_in_lanes() {
  return {{.layout = n32chw}, {.layout = std::nullopt, .library = false}};
}

std::vector<std::size_t> claims(const Network& network, Mode mode) {
  std::vector<const Layer*> run;
  for (const Layer& layer : network.layers) run.push_back(&layer);
  std::vector<std::size_t> found;
  for (std::size_t begin = 0; begin < run.size(); begin += found.back()) {
    found.push_back(claimed_layers(std::span<const Layer* const>(run).subspan(begin), {.mode = mode}));
  }
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(folded)

BOOST_AUTO_TEST_CASE(a_product_takes_what_follows_it_but_only_in_inference) {
  NetworkBuilder builder = block({3, 8, 8}, {.out = 3, .padding = {1, 1}});
  builder.add(Add{}, {2, 0});
  builder.add(GeneralRelu{});
  builder.add(BatchNorm{});
  builder.add(GeneralRelu{});
  builder.add(Conv{.out = 3});
  builder.add(GeneralRelu{});
  builder.add(GeneralRelu{});
  builder.add(Flatten{});
  builder.add(Linear{.out = 4});
  BOOST_TEST(claims(builder.build(), Mode::infer) == (std::vector<std::size_t>{4, 1, 1, 2, 1, 1, 1}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(changed_parameters_are_seen) {
  for (const OpCase& row : cases()) {
    check_with(row, [](HostParameters& host, const ParameterLayout&) {
      for (float& value : host.trained) value *= -0.75F;
      for (float& value : host.statistics) value = std::abs(value) + 0.25F;
    });
  }
}

BOOST_AUTO_TEST_CASE(a_scale_may_be_zero_or_negative) {
  for (const OpCase& row : cases()) {
    check_with(row, [](HostParameters& host, const ParameterLayout& layout) {
      set(host.trained, layout.trained, "1.weight",
          [](std::size_t i, float) { return i % 3 == 0 ? 0.0F : -1.5F; });
    });
  }
}

BOOST_AUTO_TEST_CASE(a_running_variance_may_be_next_to_nothing) {
  for (const OpCase& row : cases()) {
    check_with(row, [](HostParameters& host, const ParameterLayout& layout) {
      set(host.statistics, layout.statistics, "var",
          [](std::size_t i, float) { return i % 2 == 0 ? 0.0F : 1e-12F; });
      set(host.statistics, layout.statistics, "mean", [](std::size_t, float) { return 0.0F; });
    });
  }
}

BOOST_AUTO_TEST_CASE(weights_that_are_not_numbers_are_not_hidden_by_the_activation) {
  for (const OpCase& row : cases()) {
    for (const auto& [name, device] : devices_with_all_choices()) {
      BOOST_TEST_CONTEXT(name) {
        CaseRun run(*device, row);
        HostParameters parameters = run.values().parameters;
        for (float& value : parameters.trained) value = std::numeric_limits<float>::quiet_NaN();
        run.store().upload(parameters);
        for (const float value : output_of(run, row)) BOOST_REQUIRE(std::isnan(value));
        run.restore_parameters();
        for (const float value : output_of(run, row)) BOOST_REQUIRE(std::isfinite(value));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(in_bf16_whole_vectors_of_pictures_take_what_follows_too) {
  reference::ReferenceDevice reference;
  for (const OpCase& row : cases_in_lanes()) {
    CaseRun exact(reference, row, false, DType::bf16);
    const std::vector<float> expected = output_of(exact, row);
    std::vector<std::vector<float>> found;
    for (const CpuChoices& choices : choices_in_lanes()) {
      for (const int threads : {1, 3}) {
        BOOST_TEST_CONTEXT(row.name << (choices.layout ? "" : ", turned") << ", threads " << threads) {
          CpuDevice device(by_rule(threads), choices);
          CaseRun run(device, row, false, DType::bf16);
          found.push_back(output_of(run, row));
          check_near("output", found.back(), expected, largest(expected), tolerance(DType::bf16).value);
          BOOST_TEST((found.back() == found.front()));
          const std::vector<OperationReport> reports = run.plan().explain(0);
          BOOST_TEST(reports.front().operation == (choices.layout ? "reorder forward" : "conv forward"));
          BOOST_TEST(reports.front().layout == "nchw → bf16 n32chw");
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(in_bf16_weights_that_are_not_numbers_are_not_hidden_either) {
  constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
  for (const OpCase& row : cases_in_lanes()) {
    for (const CpuChoices& choices : choices_in_lanes()) {
      CpuDevice device(by_rule(2), choices);
      CaseRun run(device, row, false, DType::bf16);
      HostParameters parameters = run.values().parameters;
      std::ranges::fill(parameters.trained, not_a_number);
      run.store().upload(parameters);
      for (const float value : output_of(run, row)) BOOST_REQUIRE(std::isnan(value));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
