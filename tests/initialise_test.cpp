// First values of parameters: PyTorch's default and Kaiming's.
#include "descent/error.h"
#include "descent/parameters.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

namespace descent {

namespace {

struct Moments {
  double mean = 0;
  double deviation = 0;
  double largest = 0;
};

Moments moments(std::span<const float> values) {
  Moments result;
  double squares = 0;
  for (const float value : values) {
    result.mean += value;
    squares += static_cast<double>(value) * value;
    result.largest = std::max(result.largest, std::fabs(static_cast<double>(value)));
  }
  const auto count = static_cast<double>(values.size());
  result.mean /= count;
  result.deviation = std::sqrt(squares / count - result.mean * result.mean);
  return result;
}

struct Start {
  Network network;
  ParameterLayout layout;
  HostParameters host;

  Start(const std::string& name, Initialisation initialisation, std::uint64_t seed = 42)
      : network(load_network(name)),
        layout(parameter_layout(network)),
        host(initialise(network, layout, initialisation, seed)) {}

  [[nodiscard]] std::span<const float> tensor(const std::string& name) const {
    const auto found = std::find_if(layout.trained.begin(), layout.trained.end(),
                                    [&name](const ParameterEntry& entry) { return entry.name == name; });
    BOOST_REQUIRE(found != layout.trained.end());
    return {host.trained.data() + found->offset, found->elements()};
  }
};

// Uniform in ±bound: never beyond, close to it, and with the deviation of a uniform draw. Six standard
// errors, so that an honest generator practically never fails.
void check_uniform(std::span<const float> values, double bound) {
  const Moments found = moments(values);
  const auto count = static_cast<double>(values.size());
  const double deviation = bound / std::sqrt(3.0);
  BOOST_TEST(found.largest <= bound);
  BOOST_TEST(found.largest >= bound * (1 - 20 / count));
  BOOST_TEST(std::fabs(found.mean) <= 6 * deviation / std::sqrt(count));
  BOOST_TEST(std::fabs(found.deviation / deviation - 1) <= 6 * 0.45 / std::sqrt(count));
}

void check_normal(std::span<const float> values, double deviation) {
  const Moments found = moments(values);
  const auto count = static_cast<double>(values.size());
  BOOST_TEST(std::fabs(found.mean) <= 6 * deviation / std::sqrt(count));
  BOOST_TEST(std::fabs(found.deviation / deviation - 1) <= 6 * 0.71 / std::sqrt(count));
  const auto within = std::count_if(values.begin(), values.end(),
                                    [deviation](float value) { return std::fabs(value) < deviation; });
  BOOST_TEST(std::fabs(static_cast<double>(within) / count - 0.6827) <= 6 * 0.4655 / std::sqrt(count));
  BOOST_TEST(found.largest > 2 * deviation);
}

bool same(std::span<const float> values, float expected) {
  return std::all_of(values.begin(), values.end(), [expected](float value) { return value == expected; });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(initialisation)

BOOST_AUTO_TEST_CASE(default_draws_weights_and_biases_uniformly_within_one_over_the_root_of_fan_in) {
  const Start start("convnet", Initialisation::pytorch);
  check_uniform(start.tensor("0.0.weight"), 0.333333334);
  check_uniform(start.tensor("1.0.weight"), 0.117851131);
  check_uniform(start.tensor("2.0.weight"), 0.083333334);
  check_uniform(start.tensor("3.0.weight"), 0.058925566);
  check_uniform(start.tensor("4.0.weight"), 0.041666668);
  BOOST_TEST(moments(start.tensor("0.0.bias")).largest <= 0.333333334);
  check_uniform(start.tensor("3.0.bias"), 0.058925566);
}

BOOST_AUTO_TEST_CASE(kaiming_draws_convolution_weights_normally_and_the_rest_by_default) {
  const Start start("convnet", Initialisation::kaiming);
  check_normal(start.tensor("0.0.weight"), 0.469065);
  check_normal(start.tensor("1.0.weight"), 0.165840);
  check_normal(start.tensor("2.0.weight"), 0.117266);
  check_normal(start.tensor("3.0.weight"), 0.082920);
  check_normal(start.tensor("4.0.weight"), 0.058633);
  check_uniform(start.tensor("3.0.bias"), 0.058925566);
}

BOOST_AUTO_TEST_CASE(linear_layers_are_uniform_under_both) {
  for (const Initialisation initialisation : {Initialisation::pytorch, Initialisation::kaiming}) {
    const Start start("resnet", initialisation);
    check_uniform(start.tensor("7.weight"), 0.0625);
  }
}

BOOST_AUTO_TEST_CASE(groups_shrink_the_fan_in) {
  const std::string text = R"(
name = "grouped"
input = [32, 8, 8]
classes = 10
normalisation = { mean = [)" +
                           [] {
                             std::string zeros = "0";
                             for (int i = 1; i < 32; ++i) zeros += ", 0";
                             return zeros + "], std = [";
                           }() +
                           [] {
                             std::string ones = "1";
                             for (int i = 1; i < 32; ++i) ones += ", 1";
                             return ones + "] }\n";
                           }() +
                           R"(
layers = [
  { name = "conv", op = "conv", out = 64, groups = 8 },
  { name = "flatten", op = "flatten" },
  { name = "fc", op = "linear", out = "$classes" },
])";
  const Network network = parse_network(text, "grouped");
  const ParameterLayout layout = parameter_layout(network);
  const HostParameters host = initialise(network, layout, Initialisation::pytorch, 1);
  check_uniform({host.trained.data() + layout.trained[0].offset, layout.trained[0].elements()},
                0.166666667);  // 4 channels × 9
}

BOOST_AUTO_TEST_CASE(normalisation_starts_as_the_identity) {
  const Start start("convnet", Initialisation::kaiming);
  BOOST_TEST(same(start.tensor("2.1.weight"), 1));
  BOOST_TEST(same(start.tensor("2.1.bias"), 0));
  for (const ParameterEntry& entry : start.layout.statistics) {
    const std::span values(start.host.statistics.data() + entry.offset, entry.elements());
    BOOST_TEST(same(values, entry.name.ends_with("running_var") ? 1.0F : 0.0F));
  }
  BOOST_TEST(start.host.counters == std::vector<std::int64_t>(4, 0), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(gaps_between_tensors_are_zero) {
  const Start start("convnet", Initialisation::pytorch);
  std::vector<float> gaps = start.host.trained;
  for (const ParameterEntry& entry : start.layout.trained) {
    std::fill_n(gaps.begin() + static_cast<std::ptrdiff_t>(entry.offset), entry.elements(), 0.0F);
  }
  BOOST_TEST(same(gaps, 0));
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_values_and_another_seed_others) {
  const Start first("convnet", Initialisation::kaiming, 7);
  const Start again("convnet", Initialisation::kaiming, 7);
  const Start other("convnet", Initialisation::kaiming, 8);
  BOOST_TEST((first.host.trained == again.host.trained));
  BOOST_TEST(first.tensor("3.0.weight")[5] != other.tensor("3.0.weight")[5]);
}

BOOST_AUTO_TEST_CASE(a_tensor_depends_on_its_position_alone_and_not_on_what_else_is_drawn) {
  // The deeper network begins with the same tensors; what follows cannot change them.
  const Start start("convnet", Initialisation::pytorch);
  const Start kaiming("convnet", Initialisation::kaiming);
  const auto bias = start.tensor("1.0.bias");
  const auto same_bias = kaiming.tensor("1.0.bias");
  BOOST_CHECK_EQUAL_COLLECTIONS(bias.begin(), bias.end(), same_bias.begin(), same_bias.end());
  const Start deep("convnet-deep", Initialisation::pytorch);
  const auto weight = start.tensor("0.0.weight");
  const auto same_weight = deep.tensor("0.0.weight");
  BOOST_CHECK_EQUAL_COLLECTIONS(weight.begin(), weight.end(), same_weight.begin(), same_weight.end());
}

BOOST_AUTO_TEST_CASE(tensors_of_one_shape_are_drawn_independently) {
  const Start start("resnet50", Initialisation::pytorch);
  const auto a = start.tensor("layer1.1.conv1.weight");
  const auto b = start.tensor("layer1.2.conv1.weight");
  double product = 0;
  for (std::size_t i = 0; i < a.size(); ++i) product += static_cast<double>(a[i]) * b[i];
  const double norms = moments(a).deviation * moments(b).deviation * static_cast<double>(a.size());
  BOOST_TEST(std::fabs(product / norms) <= 6 / std::sqrt(static_cast<double>(a.size())));
}

// These values are a promise: a later version must draw the same weights from the same seed.
BOOST_AUTO_TEST_CASE(draws_stay_what_they_were) {
  const auto check = [](std::span<const float> values, const std::vector<float>& expected) {
    for (std::size_t i = 0; i < expected.size(); ++i)
      BOOST_TEST(values[i] == expected[i], boost::test_tools::tolerance(1e-6F));
  };
  const Start start("convnet", Initialisation::pytorch);
  check(start.tensor("0.0.weight"), {-0.24931228F, -0.25124562F, -0.24871115F, 0.23826472F});
  check(start.tensor("4.0.bias"), {-0.027215223F, 0.022959794F, -0.030514548F, -0.024138237F});
  const Start kaiming("convnet", Initialisation::kaiming);
  check(kaiming.tensor("0.0.weight"), {-0.79339335F, -0.58273639F, -0.79650725F, -0.12520583F});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent
