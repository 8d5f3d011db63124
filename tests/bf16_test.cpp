// Plans whose activations are bf16: the table of operation cases again, whole networks, and training.
#include "case_run.h"
#include "compare.h"
#include "cpu/aligned.h"
#include "cpu/device.h"
#include "cpu/lanes_conv.h"
#include "network_builder.h"
#include "op_cases.h"
#include "plan/element.h"
#include "plan/relu_rule.h"
#include "reference/device.h"
#include "small_fit.h"
#include "tolerances.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace descent::test {
namespace {

CpuDevice device_of(std::optional<Layout> layout, bool library, int threads) {
  return CpuDevice(by_rule(threads), {layout, library});
}

// A value that was rounded may lie on the other side of a kink, or lose against its neighbour, and one such
// choice shows in every gradient before it. So rows of several layers are tested without kinks, and those where
// a maximum is taken of something computed not at all.
std::vector<OpCase> rows_of(std::string_view operation) {
  std::vector<OpCase> rows;
  for (const OpCase* row : op_cases_of(operation)) {
    OpCase copy = *row;
    std::vector<Layer>& layers = copy.network.layers;
    const auto chooses = [&](const Layer& layer) {
      return std::holds_alternative<MaxPool>(layer.op) && &layer != layers.data();
    };
    if (std::any_of(layers.begin(), layers.end(), chooses)) continue;
    for (Layer& layer : layers) {
      auto* const relu = layers.size() > 1 ? std::get_if<GeneralRelu>(&layer.op) : nullptr;
      if (relu == nullptr) continue;
      relu->leak = 1;
      relu->maxv.reset();
    }
    rows.push_back(std::move(copy));
  }
  return rows;
}

OpCase with_batch(const OpCase& row, std::int64_t batch) {
  OpCase copy = row;
  copy.batch = batch;
  return copy;
}

Outcome step_of(Device& device, const OpCase& row) {
  return CaseRun(device, row, true, DType::bf16).step();
}

// Of two classes nearly as probable, rounding may prefer the other one.
Outcome without_answers(Outcome outcome) {
  for (std::size_t i = 1; i < outcome.loss_rows.size(); i += 2) outcome.loss_rows[i] = 0;
  outcome.result.correct = 0;
  return outcome;
}

void check_row(const OpCase& row, std::optional<Layout> layout, bool library) {
  reference::ReferenceDevice reference;
  CaseRun expected(reference, row, true, DType::bf16);
  CpuDevice device = device_of(layout, library, 2);
  const Tolerance tolerated = tolerance(DType::bf16);
  const Outcome exact = expected.step();
  check_outcome(without_answers(step_of(device, row)), without_answers(exact), expected.store().layout(),
                tolerated.value, tolerated.gradient);
}

std::uint16_t bits_of(float value) {
  return to_bf16(value).bits;
}

float of_bits(std::uint32_t bits) {
  return std::bit_cast<float>(bits);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bf16)

BOOST_AUTO_TEST_CASE(numbers_are_rounded_to_the_nearest_and_ties_to_even) {
  BOOST_TEST(bits_of(1.0F) == 0x3f80);
  BOOST_TEST(bits_of(-2.5F) == 0xc020);
  BOOST_TEST(bits_of(of_bits(0x3f808000)) == 0x3f80);  // a tie, down to even
  BOOST_TEST(bits_of(of_bits(0x3f818000)) == 0x3f82);  // a tie, up to even
  BOOST_TEST(bits_of(of_bits(0x3f808001)) == 0x3f81);
  BOOST_TEST(bits_of(of_bits(0x3f807fff)) == 0x3f80);
  BOOST_TEST(bits_of(of_bits(0x3fffffff)) == 0x4000);  // into the next power of two
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_stays_so) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  BOOST_TEST(to_f32(to_bf16(infinity)) == infinity);
  BOOST_TEST(to_f32(to_bf16(-infinity)) == -infinity);
  BOOST_TEST(to_f32(to_bf16(std::numeric_limits<float>::max())) == infinity);
  for (const std::uint32_t bits : {0x7fc00000U, 0xffc00000U, 0x7f800001U, 0x7fffffffU, 0xffffffffU}) {
    BOOST_TEST(std::isnan(to_f32(to_bf16(of_bits(bits)))), bits);
  }
}

BOOST_AUTO_TEST_CASE(zero_keeps_its_sign_and_small_numbers_their_digits) {
  BOOST_TEST(bits_of(0.0F) == 0x0000);
  BOOST_TEST(bits_of(-0.0F) == 0x8000);
  BOOST_TEST(bits_of(of_bits(0x00010000)) == 0x0001);  // the least denormal of bf16
  BOOST_TEST(bits_of(of_bits(0x00008000)) == 0x0000);
  BOOST_TEST(bits_of(of_bits(0x00008001)) == 0x0001);
}

BOOST_AUTO_TEST_CASE(every_number_of_bf16_comes_back) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Bf16 value{static_cast<std::uint16_t>(bits)};
    if (!std::isnan(to_f32(value))) BOOST_REQUIRE(to_bf16(to_f32(value)).bits == bits);
  }
}

BOOST_AUTO_TEST_CASE(every_operation_agrees_with_the_reference) {
  for (const std::string_view operation : operations()) {
    for (const OpCase& row : rows_of(operation)) {
      BOOST_TEST_CONTEXT(operation << ", " << row.name) {
        check_row(row, std::nullopt, true);
        for (const Layout layout : {nchw, nhwc, nchw16c}) {
          BOOST_TEST_CONTEXT(layout_name(layout)) {
            check_row(row, layout, true);
            check_row(row, layout, false);
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_operation_agrees_with_the_reference_in_whole_vectors_of_pictures) {
  for (const std::string_view operation : operations()) {
    for (const OpCase& row : rows_of(operation)) {
      for (const std::int64_t batch : {32, 96}) {
        BOOST_TEST_CONTEXT(operation << ", " << row.name << ", batch " << batch) {
          check_row(with_batch(row, batch), n32chw, true);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bit) {
  for (const std::string_view operation : operations()) {
    for (const OpCase* row : op_cases_of(operation)) {
      if (has_linear(*row)) continue;
      const OpCase wide = with_batch(*row, 96);
      BOOST_TEST_CONTEXT(operation << ", " << row->name) {
        CpuDevice one = device_of(n32chw, false, 1);
        CpuDevice several = device_of(n32chw, false, 3);
        BOOST_TEST((step_of(one, wide) == step_of(several, wide)));
      }
    }
  }
}

// What the dot products of some processors give, and what every processor can.
BOOST_AUTO_TEST_CASE(convolutions_and_activations_agree_with_and_without_dot_products) {
  if (!has_bf16_dot_products()) return;
  for (const std::int64_t channels : {1, 2, 7, 24}) {
    const Conv op{.out = 13, .kernel = {3, 3}, .stride = {2, 1}, .padding = {1, 1}};
    const Shape source{64, channels, 9, 5};
    const Shape destination{64, 13, 5, 5};
    const LanesProblem problem(op, source, destination, bf16_lanes);
    const CpuContext context{2};
    const auto draw = [](std::size_t i) { return static_cast<float>((i * 7919) % 509) / 254 - 1; };
    std::vector<float> weights(static_cast<std::size_t>(problem.weights()));
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = draw(i);
    AlignedBytes x_bytes(static_cast<std::size_t>(source.elements()) * sizeof(Bf16));
    auto* const x = static_cast<Bf16*>(x_bytes.data());
    for (std::size_t i = 0; i < static_cast<std::size_t>(source.elements()); ++i) x[i] = to_bf16(draw(i + 3));

    const auto computed = [&](const LanesLoops<Bf16>& loops) {
      const auto forward = LanesGather<Bf16>::forward(problem, loops);
      std::vector<LanesGather<Bf16>::Packed> packed(static_cast<std::size_t>(forward.packed_weights()));
      forward.pack(weights.data(), packed.data());
      AlignedBytes y_bytes(static_cast<std::size_t>(destination.elements()) * sizeof(Bf16));
      auto* const y = static_cast<Bf16*>(y_bytes.data());
      const ReluRule activation(GeneralRelu{.leak = 0.1, .sub = 0.4, .maxv = 0.5});
      forward.run(x, forward.x_picture(), packed.data(), nullptr, y, forward.y_picture(), problem.blocks,
                  &activation);
      const LanesWeightGradient<Bf16> gradient(problem, true, loops);
      AlignedBytes scratch(static_cast<std::size_t>(gradient.scratch()) * sizeof(float));
      std::vector<float> both(weights.size() + 13);
      gradient.run(context, x, y, static_cast<float*>(scratch.data()), both.data(),
                   both.data() + weights.size());
      for (std::int64_t i = 0; i < destination.elements(); ++i) both.push_back(to_f32(y[i]));
      return both;
    };
    const std::vector<float> expected = computed(bf16_portable_loops());
    check_near("everything", computed(bf16_dot_loops()), expected, largest(expected),
               tolerance(DType::bf16).value);
  }
}

BOOST_AUTO_TEST_CASE(whole_networks_agree_with_the_reference) {
  for (const auto* network : {"convnet", "resnet"}) {
    OpCase row;
    row.name = network;
    row.network = load_network(network);
    row.batch = 32;
    row.loss = true;
    row.seed = 11;
    for (Layer& layer : row.network.layers)
      if (auto* relu = std::get_if<GeneralRelu>(&layer.op)) relu->leak = 1;
    reference::ReferenceDevice reference;
    CaseRun expected(reference, row, false, DType::bf16);
    CpuDevice device = device_of(std::nullopt, true, 2);
    const double tolerated = tolerance(DType::bf16).whole_network;
    BOOST_TEST_CONTEXT(network) {
      CaseRun run(device, row, false, DType::bf16);
      check_outcome(without_answers(run.step()), without_answers(expected.step()), expected.store().layout(),
                    tolerated, tolerated);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_plan_in_f32_holds_no_bf16) {
  const OpCase row = with_batch(rows_of("conv").front(), 32);
  CpuDevice device = device_of(std::nullopt, true, 1);
  const auto in_bf16 = [&](DType precision) {
    CaseRun run(device, row, true, precision);
    const std::vector<OperationReport> operations = run.plan().explain(0);
    return std::any_of(operations.begin(), operations.end(),
                       [](const OperationReport& one) { return one.layout.find("bf16") != std::string::npos; });
  };
  BOOST_TEST(!in_bf16(DType::f32));
  BOOST_TEST(in_bf16(DType::bf16));
}

BOOST_AUTO_TEST_CASE(reports_name_bf16_whoever_computes_in_it) {
  OpCase row = with_batch(rows_of("conv").front(), 4);
  row.mode = Mode::infer;
  row.loss = false;
  CpuDevice device = device_of(nhwc, true, 1);
  CaseRun run(device, row, false, DType::bf16);
  const std::vector<OperationReport> operations = run.plan().explain(0);
  const auto in_bf16 = [](const OperationReport& one) { return one.layout.find("bf16") != std::string::npos; };
  if (std::ranges::none_of(operations, in_bf16)) return;  // the library has no kernel here
  for (const OperationReport& one : operations) BOOST_TEST(in_bf16(one), one.operation << " in " << one.layout);
}

BOOST_AUTO_TEST_CASE(a_device_says_once_that_it_computes_nothing_in_bf16) {
  std::vector<std::string> told;
  DeviceOptions options = by_rule(1);
  options.warn = [&](const std::string& sentence) { told.push_back(sentence); };
  const auto prepare = [](CpuDevice& device, const std::vector<Op>& ops, DType precision) {
    NetworkBuilder builder({3, 4, 4});
    for (const Op& op : ops) builder.add(op);
    const Network network = builder.build();
    ParameterStore store(device, parameter_layout(network), false);
    static_cast<void>(device.prepare(network, {.batch = 32, .precision = precision}, store));
  };
  const std::vector<Op> without_kernels{Flatten{}, Linear{.out = 2}};
  CpuDevice device(options);
  prepare(device, without_kernels, DType::f32);
  BOOST_TEST(told.empty());
  prepare(device, without_kernels, DType::bf16);
  prepare(device, without_kernels, DType::bf16);
  BOOST_REQUIRE(told.size() == 1U);
  BOOST_TEST(told.front().find("nothing is computed in") != std::string::npos, told.front());

  told.clear();
  CpuDevice other(options);
  prepare(other, {Conv{.out = 8}}, DType::bf16);
  for (const std::string& sentence : told) {
    BOOST_TEST(sentence.find("has no instructions for bf16: ") != std::string::npos, sentence);
  }
}

BOOST_AUTO_TEST_CASE(summaries_of_bf16_are_those_of_its_numbers) {
  CpuDevice device = device_of(std::nullopt, true, 2);
  std::vector<Bf16> values(5000);
  std::vector<float> same(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = to_bf16(static_cast<float>(i % 97) / 16 - 3);
    same[i] = to_f32(values[i]);
  }
  Summary summary;
  Summary expected;
  device.summarise({values.data(), DType::bf16, values.size()}, true, summary);
  device.summarise({same.data(), DType::f32, same.size()}, true, expected);
  BOOST_TEST(summary.count == expected.count);
  BOOST_TEST(summary.mean == expected.mean);
  BOOST_TEST(summary.squared_deviations == expected.squared_deviations);
  BOOST_TEST((summary.histogram == expected.histogram));
}

// A small network learns what it learns in f32: the two halves of pictures, from the same start.
BOOST_AUTO_TEST_CASE(training_ends_where_f32_ends) {
  const auto loss_of = [](DType precision) {
    NetworkBuilder builder({1, 4, 4});
    builder.add(Conv{.out = 8, .padding = {1, 1}});
    builder.add(BatchNorm{});
    builder.add(GeneralRelu{.leak = 0.1, .sub = 0.4});
    builder.add(Conv{.out = 2, .kernel = {4, 4}});
    builder.add(Flatten{});
    SmallFit small(builder.build());
    small.settings.batch_size = 32;
    small.settings.epochs = 3;
    small.settings.precision = precision;
    return small.run(half_data(256, 64), {}).back().valid;
  };
  const PhaseMetrics expected = loss_of(DType::f32);
  const PhaseMetrics metrics = loss_of(DType::bf16);
  BOOST_TEST(expected.accuracy > 0.9);
  BOOST_TEST(metrics.accuracy >= expected.accuracy - 0.02);
  BOOST_TEST(std::abs(metrics.loss - expected.loss) < 0.05 * expected.loss + 0.01);
  BOOST_TEST(metrics.loss != expected.loss);  // it was not f32 after all
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
