// Weights of a network with other classes: what is kept, what is drawn anew.
#include "descent/error.h"
#include "descent/weights.h"
#include "network_builder.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

using namespace descent;
using descent::test::NetworkBuilder;

namespace {

Network with_linear_head(std::int64_t classes, std::int64_t channels = 3) {
  NetworkBuilder builder({1, 4, 4});
  builder.add(Conv{.out = channels});
  builder.add(BatchNorm{});
  builder.add(Flatten{});
  builder.add(Linear{.out = classes});
  builder.add(BatchNorm{});
  return builder.build();
}

// As the seed's network: a convolution tells the classes apart.
Network with_conv_head(std::int64_t classes) {
  NetworkBuilder builder({1, 4, 4});
  builder.add(Conv{.out = 3});
  builder.add(GeneralRelu{});
  builder.add(Conv{.out = classes, .kernel = {2, 2}});
  builder.add(Flatten{});
  return builder.build();
}

// Every value of such a network is the same number.
SafetensorsFile file_of(const Network& network, float value) {
  const ParameterLayout layout = parameter_layout(network);
  HostParameters parameters;
  parameters.trained.assign(layout.trained_elements, value);
  parameters.statistics.assign(layout.statistic_elements, value);
  parameters.counters.assign(layout.counters.size(), 9);
  SafetensorsFile content;
  content.tensors = tensors_from(parameters, layout);
  return content;
}

std::function<HostParameters()> drawn_for(const ParameterLayout& layout) {
  return [&layout] {
    HostParameters parameters;
    parameters.trained.assign(layout.trained_elements, 2);
    parameters.statistics.assign(layout.statistic_elements, 2);
    parameters.counters.assign(layout.counters.size(), 0);
    return parameters;
  };
}

// From values of 1 in the file, and 2 where they are drawn: what each tensor begins with.
std::vector<std::string> beginnings(const HostParameters& parameters, const ParameterLayout& layout) {
  std::vector<std::string> texts;
  const auto append = [&](const auto& entries, const auto& values) {
    for (const ParameterEntry& entry : entries) {
      texts.push_back(entry.name + " " + std::to_string(static_cast<int>(values[entry.offset])));
    }
  };
  append(layout.trained, parameters.trained);
  append(layout.statistics, parameters.statistics);
  append(layout.counters, parameters.counters);
  return texts;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(head)

BOOST_AUTO_TEST_CASE(for_other_classes_the_last_layer_and_what_follows_it_are_drawn) {
  const ParameterLayout layout = parameter_layout(with_linear_head(7));
  SafetensorsFile content = file_of(with_linear_head(5), 1);
  const std::vector<std::string> replaced = replace_head(content, layout, drawn_for(layout));
  const std::vector<std::string> names{
      "3.weight", "3.bias", "4.weight", "4.bias", "4.running_mean", "4.running_var", "4.num_batches_tracked"};
  BOOST_TEST(replaced == names, boost::test_tools::per_element());
  const std::vector<std::string> expected{"0.weight 1",
                                          "0.bias 1",
                                          "1.weight 1",
                                          "1.bias 1",
                                          "3.weight 2",
                                          "3.bias 2",
                                          "4.weight 2",
                                          "4.bias 2",
                                          "1.running_mean 1",
                                          "1.running_var 1",
                                          "4.running_mean 2",
                                          "4.running_var 2",
                                          "1.num_batches_tracked 9",
                                          "4.num_batches_tracked 0"};
  BOOST_TEST(beginnings(parameters_from(content, layout, "file"), layout) == expected,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_convolution_may_be_the_last_layer) {
  const ParameterLayout layout = parameter_layout(with_conv_head(2));
  SafetensorsFile content = file_of(with_conv_head(3), 1);
  BOOST_TEST(replace_head(content, layout, drawn_for(layout)).size() == 2U);
  const std::vector<std::string> expected{"0.weight 1", "0.bias 1", "2.weight 2", "2.bias 2"};
  BOOST_TEST(beginnings(parameters_from(content, layout, "file"), layout) == expected,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(for_as_many_classes_all_is_kept) {
  const ParameterLayout layout = parameter_layout(with_linear_head(5));
  SafetensorsFile content = file_of(with_linear_head(5), 1);
  BOOST_TEST(replace_head(content, layout, drawn_for(layout)).empty());
  const HostParameters kept = parameters_from(content, layout, "file");
  BOOST_TEST(std::ranges::count(beginnings(kept, layout), "3.weight 1") == 1);
}

BOOST_AUTO_TEST_CASE(another_network_is_refused_as_before) {
  const ParameterLayout layout = parameter_layout(with_linear_head(5));
  SafetensorsFile wider = file_of(with_linear_head(5, 4), 1);
  BOOST_TEST(replace_head(wider, layout, drawn_for(layout)).empty());
  BOOST_CHECK_THROW(static_cast<void>(parameters_from(wider, layout, "file")), Error);
  SafetensorsFile other = file_of(with_conv_head(3), 1);
  static_cast<void>(replace_head(other, layout, drawn_for(layout)));
  BOOST_CHECK_THROW(static_cast<void>(parameters_from(other, layout, "file")), Error);
}

BOOST_AUTO_TEST_SUITE_END()
