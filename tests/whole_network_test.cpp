// Built-in networks from end to end, against the reference; and plans that share memory.
#include "bound_plan.h"
#include "compare.h"
#include "network_builder.h"
#include "reference/device.h"
#include "tolerances.h"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <vector>

namespace descent::test {

namespace {

namespace data = boost::unit_test::data;

OpCase network_row(const std::string& name, std::int64_t batch, Mode mode) {
  OpCase row;
  row.operation = "network";
  row.name = name;
  row.network = load_network(name);
  row.batch = batch;
  row.mode = mode;
  row.loss = true;
  row.seed = 11;
  return row;
}

// The same network with activations that have no kink. An activation whose input lies within rounding of 0
// may take either slope, and in a deep network that one choice shows in every gradient before it.
OpCase without_kinks(OpCase row) {
  for (Layer& layer : row.network.layers)
    if (auto* relu = std::get_if<GeneralRelu>(&layer.op)) relu->leak = 1;
  return row;
}

// Plain descent: rules that divide by the gradient's size would make numbers of rounding errors.
std::vector<float> after_one_update(Device& device, CaseRun& run) {
  const Optimizer optimizer = Sgd{};
  OptimizerState state(device, run.store().layout(), slots(optimizer));
  const std::vector<UpdateRange> ranges = update_ranges(run.store().layout(), {});
  UpdateRequest request{optimizer, ranges};
  request.learning_rate = 0.1;
  request.weight_decay = 0.01;
  device.update(run.store(), state, request);
  return run.store().download().trained;
}

void check_training_step(const OpCase& row) {
  reference::ReferenceDevice reference;
  CaseRun expected_run(reference, row);
  const Outcome expected = expected_run.step();
  const std::vector<float> expected_values = after_one_update(reference, expected_run);
  for (const auto& [name, device] : devices()) {
    BOOST_TEST_CONTEXT(name) {
      CaseRun run(*device, row);
      const double tolerated = tolerance(device->parameter_type()).whole_network;
      check_outcome(run.step(), expected, run.store().layout(), tolerated, tolerated);
      const std::vector<float> values = after_one_update(*device, run);
      for (const ParameterEntry& entry : run.store().layout().trained) {
        const std::span<const float> part = std::span(expected_values).subspan(entry.offset, entry.elements());
        check_near(entry.name, std::span(values).subspan(entry.offset, entry.elements()), part, largest(part),
                   tolerated);
      }
    }
  }
}

constexpr std::array networks{"convnet", "convnet-deep", "resnet"};

}  // namespace

BOOST_AUTO_TEST_SUITE(whole_network)

BOOST_DATA_TEST_CASE(a_training_step_agrees_with_the_reference, data::make(networks), network) {
  check_training_step(without_kinks(network_row(network, 5, Mode::train)));
}

BOOST_AUTO_TEST_CASE(a_training_step_of_the_seed_network_agrees_with_the_reference) {
  check_training_step(network_row("convnet", 3, Mode::train));
}

// Enough pictures for kernels that hold whole ones, and take sums for each other.
BOOST_AUTO_TEST_CASE(a_training_step_on_many_pictures_agrees_with_the_reference) {
  check_training_step(network_row("convnet", 34, Mode::train));
}

BOOST_DATA_TEST_CASE(inference_agrees_with_the_reference, data::make(networks), network) {
  const OpCase row = network_row(network, 5, Mode::infer);
  reference::ReferenceDevice reference;
  CaseRun expected_run(reference, row);
  const Outcome expected = expected_run.step();
  for (const auto& [name, device] : devices()) {
    BOOST_TEST_CONTEXT(name) {
      CaseRun run(*device, row);
      const double tolerated = tolerance(device->parameter_type()).whole_network;
      check_outcome(run.step(), expected, run.store().layout(), tolerated, tolerated);
    }
  }
}

BOOST_AUTO_TEST_CASE(inference_follows_parameters_that_training_changed) {
  // The same store: what a plan for inference derived from the parameters must not go stale.
  const OpCase training = network_row("convnet", 3, Mode::train);
  const OpCase inference = network_row("convnet", 3, Mode::infer);
  const auto logits_after_update = [&](Device& device) {
    CaseRun run(device, training);
    const BoundPlan plan(device, inference.network, {.batch = inference.batch}, run.store());
    std::vector<float> logits(30);
    const auto infer = [&] {
      plan->write(Plan::Port::input, run.values().input);
      plan->forward({});
      plan->read(Plan::Port::output, logits);
    };
    infer();
    (void)run.step();  // moves the running statistics
    infer();
    (void)run.plan().explain(1);  // … and so does this, and this
    infer();
    (void)run.plan().first_nonfinite_layer({});
    infer();
    const std::vector<float> known = logits;
    const BoundPlan fresh(device, inference.network, {.batch = inference.batch}, run.store());
    fresh->write(Plan::Port::input, run.values().input);
    fresh->forward({});
    fresh->read(Plan::Port::output, logits);
    BOOST_TEST((logits == known), device.name());
    (void)after_one_update(device, run);
    infer();
    return logits;
  };
  reference::ReferenceDevice reference;
  const std::vector<float> expected = logits_after_update(reference);
  for (const auto& [name, device] : devices())
    check_near("logits", logits_after_update(*device), expected, largest(expected),
               tolerance(device->parameter_type()).whole_network);
}

BOOST_AUTO_TEST_CASE(plans_of_two_batch_sizes_share_one_workspace_and_one_store) {
  for (const auto& [name, device] : devices()) {
    const Network network = load_network("convnet");
    const OpCase large = network_row("convnet", 19, Mode::train);
    const OpCase small = network_row("convnet", 5, Mode::train);
    CaseRun large_run(*device, large);
    CaseRun small_run(*device, small);
    const Outcome large_alone = large_run.step();
    const Outcome small_alone = small_run.step();
    Buffer shared =
        device->allocate(std::max(large_run.plan().workspace_bytes(), small_run.plan().workspace_bytes()));
    large_run.plan().bind(shared);
    small_run.plan().bind(shared);
    BOOST_TEST((large_run.step() == large_alone));
    BOOST_TEST((small_run.step() == small_alone));
    BOOST_TEST((large_run.step() == large_alone));
  }
}

BOOST_AUTO_TEST_CASE(dropout_draws_the_same_for_a_picture_however_the_epoch_is_cut) {
  NetworkBuilder builder({3, 5, 7});
  builder.add(Dropout{.p = 0.5});
  builder.add(Dropout{.p = 0.25, .channels = true});
  const Network network = builder.build();
  const auto outputs = [&](Device& device, std::int64_t batch) {
    ParameterStore store(device, parameter_layout(network), true);
    const BoundPlan plan(device, network, {.mode = Mode::train, .batch = batch}, store);
    std::vector<float> all;
    std::vector<float> values(static_cast<std::size_t>(batch) * 105, 1.0F);
    for (std::int64_t first = 0; first < 12; first += batch) {
      std::fill(values.begin(), values.end(), 1.0F);
      plan->write(Plan::Port::input, values);
      plan->forward({42, 1, static_cast<std::uint64_t>(first)});
      plan->read(Plan::Port::output, values);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  for (const auto& [name, device] : devices()) {
    const std::vector<float> whole = outputs(*device, 12);
    BOOST_TEST((outputs(*device, 4) == whole));
    BOOST_TEST((outputs(*device, 1) == whole));
    const auto kept = std::count_if(whole.begin(), whole.end(), [](float value) { return value > 0; });
    BOOST_TEST(std::abs(static_cast<double>(kept) / 1260 - 0.375) < 0.1);
  }
}

BOOST_AUTO_TEST_CASE(pictures_are_gathered_seen_and_normalised_alike) {
  NetworkBuilder builder({3, 5, 7});
  builder.add(Flatten{});
  Network network = builder.build();
  network.normalisation = {{0.28F, 0.5F, 0.1F}, {0.35F, 0.25F, 1.0F}};
  std::vector<std::uint8_t> pictures(std::size_t{4} * 105);
  for (std::size_t i = 0; i < pictures.size(); ++i) pictures[i] = static_cast<std::uint8_t>(i * 37 % 256);
  const std::vector<std::int32_t> labels{104, 3, 0, 7};
  const std::vector<std::uint32_t> indices{2, 0, 3};
  const auto loaded = [&](Device& device, const std::vector<PictureView>& views) {
    ParameterStore store(device, parameter_layout(network), true);
    const BoundPlan plan(device, network, {.mode = Mode::train, .batch = 3, .loss = true}, store);
    plan->load({pictures, labels, network.input, &network.normalisation}, {indices, views});
    std::vector<float> values(std::size_t{2} * 3 * 105);
    plan->read(Plan::Port::input, std::span(values).first(315));
    plan->read(Plan::Port::targets, std::span(values).last(315));
    return values;
  };
  reference::ReferenceDevice reference;
  const std::vector<std::vector<PictureView>> seen{
      {}, {{1, -2, true}, {-4, 6, false}, {0, 0, true}}, {{-5, 0, false}, {2, 3, true}, {0, 7, true}}};
  for (const std::vector<PictureView>& views : seen) {
    const std::vector<float> expected = loaded(reference, views);
    BOOST_TEST(std::accumulate(expected.end() - 315, expected.end(), 0.0F) == 3.0F);
    for (const auto& [name, device] : devices())
      check_near("input and targets", loaded(*device, views), expected, largest(expected),
                 tolerance(device->parameter_type()).value);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
