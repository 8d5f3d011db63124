// Every optimizer's pass over the flat buffers, on every device, against the same frame in double.
#include "compare.h"
#include "network_builder.h"
#include "reference/device.h"
#include "tolerances.h"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <string>
#include <vector>

namespace descent::test {

namespace {

namespace data = boost::unit_test::data;

constexpr int steps = 4;

// More parameters than one block of a device's loop, and none of the tensors a multiple of a vector.
OpCase row_to_train() {
  NetworkBuilder builder({3, 5, 7});
  builder.add(Conv{.out = 17, .padding = {1, 1}});
  builder.add(BatchNorm{});
  builder.add(Flatten{});
  builder.add(Linear{.out = 13});
  OpCase row;
  row.network = builder.build();
  row.batch = 3;
  row.seed = 5;
  return row;
}

struct Frame {
  std::string name;
  double weight_decay = 0;
  Decay decay = Decay::decoupled;
  double clip_norm = 0;
  std::vector<ParameterGroup> groups;
};

std::vector<Frame> frames() {
  return {
      {"plain", 0, Decay::decoupled, 0, {}},
      {"decoupled decay", 0.1, Decay::decoupled, 0, {}},
      {"L2 decay", 0.1, Decay::l2, 0, {}},
      {"clipped", 0.1, Decay::l2, 0.5, {}},
      {"a limit that nothing reaches", 0, Decay::decoupled, 1e6, {}},
      {"groups", 0.1, Decay::decoupled, 0.5, {{"*.bias", 1, 0}, {"0.weight", 0, 1}, {"1.*", 0.5, 1}}},
  };
}

// Values after each step, then the state.
std::vector<std::vector<float>> updates(Device& device, const Optimizer& optimizer, const Frame& frame) {
  const OpCase row = row_to_train();
  ParameterStore store(device, parameter_layout(row.network), true);
  const CaseValues values = case_values(row, store.layout());
  store.upload(values.parameters);
  OptimizerState state(device, store.layout(), slots(optimizer));
  const std::vector<UpdateRange> ranges = update_ranges(store.layout(), frame.groups);

  std::vector<std::vector<float>> history;
  for (int step = 0; step < steps; ++step) {
    std::vector<float> gradients = values.parameters.trained;  // any numbers will do; other ones each time
    for (std::size_t i = 0; i < gradients.size(); ++i)
      gradients[i] *= 0.5F + std::sin(static_cast<float>(i) * 0.7F + static_cast<float>(step));
    device.upload(store.gradients().data(), device.parameter_type(), gradients);
    UpdateRequest request{optimizer, ranges};
    request.learning_rate = 0.05;
    request.weight_decay = frame.weight_decay;
    request.decay = frame.decay;
    request.clip_norm = frame.clip_norm;
    const std::uint64_t version = store.version();
    device.update(store, state, request);
    BOOST_TEST(state.step == step + 1);
    BOOST_TEST(store.version() != version);
    history.push_back(store.download().trained);
  }
  std::vector<float> slots_after(state.slots() * store.layout().trained_elements);
  device.download(slots_after, state.values().data(), device.parameter_type());
  history.push_back(slots_after);
  return history;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(update)

BOOST_DATA_TEST_CASE(every_device_moves_parameters_as_the_reference_does, data::make(optimizer_names()),
                     optimizer) {
  for (const Frame& frame : frames()) {
    reference::ReferenceDevice reference;
    const auto expected = updates(reference, make_optimizer(optimizer), frame);
    for (const auto& [name, device] : devices()) {
      BOOST_TEST_CONTEXT(name << ", " << frame.name) {
        const auto actual = updates(*device, make_optimizer(optimizer), frame);
        for (std::size_t step = 0; step < expected.size(); ++step) {
          const std::string what = step < steps ? "after step " + std::to_string(step) : "state";
          check_near(what, actual[step], expected[step], largest(expected[step]),
                     tolerance(device->parameter_type()).value);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_frozen_group_keeps_its_values) {
  const OpCase row = row_to_train();
  const ParameterLayout layout = parameter_layout(row.network);
  const std::vector<float> before = case_values(row, layout).parameters.trained;
  for (const auto& [name, device] : devices()) {
    const auto history = updates(*device, make_optimizer("adam"), frames().back());
    for (const ParameterEntry& entry : layout.trained) {
      const auto begin = static_cast<std::ptrdiff_t>(entry.offset);
      const auto end = begin + static_cast<std::ptrdiff_t>(entry.elements());
      const bool same =
          std::equal(before.begin() + begin, before.begin() + end, history[steps - 1].begin() + begin);
      BOOST_TEST(same == (entry.name == "0.weight"), entry.name);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
