// The built-in networks, and what follows from a network: layout, counts, batches that are refused.
#include "descent/network.h"

#include "descent/error.h"
#include "descent/parameters.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace descent {

namespace {

// Lines "name shape" of a state dict, in PyTorch's order.
std::vector<std::string> expected_state_dict(const std::string& network) {
  std::ifstream file(std::string(DESCENT_TEST_DATA) + "/state_dicts/" + network + ".txt");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> state_dict(const Network& network) {
  std::vector<std::string> lines;
  for (const Layer& layer : network.layers) {
    for (const ParameterSpec& spec : parameters_of(layer.op, layer.input)) {
      lines.push_back(layer.name + "." + spec.suffix + " " + to_string(spec.shape));
    }
  }
  return lines;
}

std::int64_t work(const Network& network) {
  std::int64_t sum = 0;
  for (const Layer& layer : network.layers) sum += multiply_accumulates(layer.op, layer.input, layer.output);
  return sum;
}

struct Expected {
  std::string name;
  Shape input;
  std::int64_t classes;
  std::int64_t parameters;
  std::int64_t work;
};
const std::vector<Expected>& expectations() {
  static const std::vector<Expected> rows{{"convnet", {1, 28, 28}, 10, 30394, 223776},
                                          {"convnet-deep", {1, 28, 28}, 10, 110286, 1109376},
                                          {"resnet", {1, 28, 28}, 10, 1228908, 8406784},
                                          {"resnet18", {3, 224, 224}, 1000, 11689512, 1814073344},
                                          {"resnet50", {3, 224, 224}, 1000, 25557032, 4089184256}};
  return rows;
}

std::string refusal(const Network& network, std::int64_t batch) {
  try {
    check_training_batch(network, batch);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

const Layer& layer_named(const Network& network, const std::string& name) {
  const auto found = std::find_if(network.layers.begin(), network.layers.end(),
                                  [&name](const Layer& layer) { return layer.name == name; });
  BOOST_REQUIRE(found != network.layers.end());
  return *found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(network)

BOOST_AUTO_TEST_CASE(every_built_in_network_loads_and_has_an_expectation) {
  BOOST_TEST(builtin_networks().size() == expectations().size());
  for (const BuiltinNetwork& builtin : builtin_networks()) {
    const Network network = load_network(std::string(builtin.name));
    BOOST_TEST(network.name == builtin.name);
    BOOST_TEST(network.text == builtin.text);
    BOOST_TEST(!network.summary.empty());
  }
}

BOOST_AUTO_TEST_CASE(built_in_networks_have_the_published_sizes) {
  for (const Expected& expected : expectations()) {
    BOOST_TEST_CONTEXT(expected.name) {
      const Network network = load_network(expected.name);
      BOOST_TEST((network.input == expected.input));
      BOOST_TEST(network.classes() == expected.classes);
      BOOST_TEST(parameter_count(parameter_layout(network)) == expected.parameters);
      BOOST_TEST(work(network) == expected.work);
    }
  }
}

BOOST_AUTO_TEST_CASE(parameter_names_shapes_and_order_are_those_of_the_pytorch_model) {
  for (const Expected& expected : expectations()) {
    BOOST_TEST_CONTEXT(expected.name) {
      const std::vector<std::string> ours = state_dict(load_network(expected.name));
      const std::vector<std::string> theirs = expected_state_dict(expected.name);
      BOOST_REQUIRE(!theirs.empty());
      BOOST_CHECK_EQUAL_COLLECTIONS(ours.begin(), ours.end(), theirs.begin(), theirs.end());
    }
  }
}

BOOST_AUTO_TEST_CASE(built_in_networks_normalise_as_published) {
  BOOST_TEST((load_network("convnet").normalisation == Normalisation{{0.28F}, {0.35F}}));
  const Normalisation imagenet{{0.485F, 0.456F, 0.406F}, {0.229F, 0.224F, 0.225F}};
  BOOST_TEST((load_network("resnet18").normalisation == imagenet));
  BOOST_TEST((load_network("resnet50").normalisation == imagenet));
}

BOOST_AUTO_TEST_CASE(convnet_has_the_layers_of_the_experiment) {
  const Network network = load_network("convnet");
  std::string names;
  for (const Layer& layer : network.layers) names += layer.name + " ";
  BOOST_TEST(names == "0.0 0.1 0.2 1.0 1.1 1.2 2.0 2.1 2.2 3.0 3.1 3.2 4.0 5 ");
  const auto relu = std::get<GeneralRelu>(layer_named(network, "3.2").op);
  BOOST_TEST(relu.leak == 0.1);
  BOOST_TEST(relu.sub == 0.4);
  BOOST_TEST(!relu.maxv.has_value());
  BOOST_TEST((layer_named(network, "0.0").output == Shape{8, 14, 14}));
  BOOST_TEST((layer_named(network, "1.0").output == Shape{16, 7, 7}));
  BOOST_TEST((layer_named(network, "2.0").output == Shape{32, 4, 4}));
  BOOST_TEST((layer_named(network, "3.0").output == Shape{64, 2, 2}));
  BOOST_TEST((layer_named(network, "4.0").output == Shape{10, 1, 1}));
  BOOST_TEST(std::get<Conv>(layer_named(network, "0.0").op).bias);
}

BOOST_AUTO_TEST_CASE(a_residual_block_pools_its_skip_and_adds_both_branches) {
  const Network network = load_network("resnet");
  const auto value_of = [&network](const std::string& name) {
    return static_cast<ValueId>(&layer_named(network, name) - network.layers.data()) + 1;
  };
  BOOST_TEST((layer_named(network, "3.pool").inputs == std::vector{value_of("2.act")}));
  BOOST_TEST((layer_named(network, "3.idconv.0").inputs == std::vector{value_of("3.pool")}));
  BOOST_TEST(
      (layer_named(network, "3.add").inputs == std::vector{value_of("3.convs.1.1"), value_of("3.idconv.0")}));
  BOOST_TEST((layer_named(network, "3.convs.0.0").inputs == std::vector{value_of("2.act")}));
  BOOST_TEST((layer_named(network, "3.add").output == Shape{64, 4, 4}));  // 7 → 4: rounded up
  BOOST_TEST((layer_named(network, "0.convs.0.0").inputs == std::vector<ValueId>{0}));
}

BOOST_AUTO_TEST_CASE(resnet50_has_its_stride_in_the_three_by_three_convolution) {
  const Network network = load_network("resnet50");
  BOOST_TEST((layer_named(network, "layer2.0.conv1").output == Shape{128, 56, 56}));
  BOOST_TEST((layer_named(network, "layer2.0.conv2").output == Shape{128, 28, 28}));
}

BOOST_AUTO_TEST_CASE(the_number_of_classes_can_be_replaced) {
  const Network network = load_network("resnet18", 37);
  BOOST_TEST(network.classes() == 37);
  BOOST_TEST((layer_named(network, "fc").output == Shape{37}));
  const Network again = parse_network(network.text, "its own text", network.classes());
  BOOST_TEST((state_dict(again) == state_dict(network)));
}

BOOST_AUTO_TEST_CASE(an_unknown_network_names_the_nearest) {
  try {
    static_cast<void>(load_network("resnet19"));
    BOOST_ERROR("accepted");
  } catch (const Error& error) {
    BOOST_TEST(std::string(error.what()).find("did you mean 'resnet18'?") != std::string::npos);
    BOOST_TEST(error.exit_code() == 2);
  }
}

BOOST_AUTO_TEST_CASE(a_network_is_read_from_a_file_and_a_missing_one_is_named) {
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "descent-network-test.toml";
  std::ofstream(file) << load_network("convnet").text;
  BOOST_TEST((state_dict(load_network(file.string())) == state_dict(load_network("convnet"))));
  std::filesystem::remove(file);
  try {
    static_cast<void>(load_network(file.string()));
    BOOST_ERROR("accepted");
  } catch (const Error& error) {
    BOOST_TEST(std::string(error.what()).find(file.string()) != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(the_layout_is_aligned_without_overlap_and_counts_no_gaps) {
  const Network network = load_network("resnet");
  const ParameterLayout layout = parameter_layout(network);
  const auto check = [](const std::vector<ParameterEntry>& entries, std::size_t size) {
    std::size_t end = 0;
    for (const ParameterEntry& entry : entries) {
      BOOST_TEST(entry.offset % 16 == 0U);
      BOOST_TEST(entry.offset >= end);
      BOOST_TEST(entry.offset < end + 16);
      end = entry.offset + entry.elements();
    }
    BOOST_TEST(size >= end);
    BOOST_TEST(size % 16 == 0U);
  };
  check(layout.trained, layout.trained_elements);
  check(layout.statistics, layout.statistic_elements);
  BOOST_TEST(layout.statistics.size() == 2 * layout.counters.size());
  for (std::size_t i = 0; i < layout.counters.size(); ++i) BOOST_TEST(layout.counters[i].offset == i);
  for (const ParameterEntry& entry : layout.trained) {
    BOOST_TEST(entry.name.starts_with(network.layers[entry.layer].name + "."));
  }
}

BOOST_AUTO_TEST_CASE(a_training_batch_must_leave_batch_normalisation_more_than_one_value_a_channel) {
  BOOST_TEST(refusal(load_network("convnet"), 1).empty());  // its last map is 2×2
  const Network resnet = load_network("resnet");
  const std::string message = refusal(resnet, 1);
  BOOST_TEST(message.find("layer '5.convs.1.1'") != std::string::npos);
  BOOST_TEST(message.find("batch of 1") != std::string::npos);
  BOOST_TEST(message.find("256×1×1") != std::string::npos);
  BOOST_TEST(refusal(resnet, 2).empty());
  BOOST_TEST(!refusal(resnet, 0).empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent
