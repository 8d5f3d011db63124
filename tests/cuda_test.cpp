// What is particular to CUDA devices: recorded steps, losses that do not wait, the data set kept on the device,
// bf16; on the emulation everywhere, and on a GPU where there is one.
#include "case_run.h"
#include "compare.h"
#include "cuda_host/emulated_device.h"
#include "cuda_host/naive_libraries.h"
#include "descent/augment.h"
#include "descent/error.h"
#include "network_builder.h"
#include "op_cases.h"
#include "reference/device.h"
#include "small_fit.h"
#include "tolerances.h"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

namespace descent::test {
namespace {

namespace data = boost::unit_test::data;

// A few training steps: by parts, or each at once.
struct Training {
  std::vector<double> losses;
  std::vector<float> parameters;
  std::vector<float> statistics;
  friend bool operator==(const Training&, const Training&) = default;
};

struct TrainingRequest {
  bool at_once = false;
  bool placed = false;
  bool augmented = false;
  double clip_norm = 0;
  DType precision = DType::f32;
  std::string optimizer = "adam";
  std::size_t steps = 5;
};

Training train(Device& device, const TrainingRequest& request) {
  const Network network = small_network();
  const PictureSet pictures = half_pictures(64, 3);
  ParameterStore store(device, parameter_layout(network), true);
  store.upload(initialise(network, store.layout(), Initialisation::pytorch, 7));
  const auto plan = device.prepare(
      network, {.mode = Mode::train, .batch = 12, .loss = true, .precision = request.precision}, store);
  Buffer workspace = device.allocate(plan->workspace_bytes());
  plan->bind(workspace);
  const Optimizer optimizer = make_optimizer(request.optimizer);
  OptimizerState state(device, store.layout(), slots(optimizer));
  const std::vector<UpdateRange> ranges = update_ranges(store.layout(), {});
  PictureSource source = pictures.source(network.normalisation);
  const auto placed = request.placed ? device.place(source) : nullptr;
  source.placed = placed.get();

  Training training;
  for (std::size_t step = 0; step < request.steps; ++step) {
    std::vector<std::uint32_t> indices(12);
    for (std::size_t i = 0; i < indices.size(); ++i)
      indices[i] = static_cast<std::uint32_t>((i * 29 + step * 7) % pictures.size());
    const StepContext context{5, static_cast<std::uint32_t>(step / 3), step % 3 * 12};
    const double rate = 0.01 / static_cast<double>(step + 1);
    const UpdateRequest update{optimizer, ranges, rate, 0.1, Decay::decoupled, request.clip_norm};
    std::vector<PictureView> views;
    if (request.augmented) views = augmented_views({.flip = true, .shift = 2}, 5, context.epoch, 12 * step, 12);
    plan->load(source, {indices, views});
    if (request.at_once) {
      plan->step(context, state, update);
      training.losses.push_back(plan->result().loss_sum);
    } else {
      plan->forward(context);
      training.losses.push_back(plan->result().loss_sum);
      plan->backward(context);
      device.update(store, state, update);
    }
  }
  const HostParameters host = store.download();
  training.parameters = host.trained;
  training.statistics = host.statistics;
  return training;
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    BOOST_TEST((error.fault() == Fault::usage));
    return error.what();
  }
  return "";
}

// As in bf16_test: no kinks in rows of several layers, and no maximum of something computed.
std::vector<OpCase> rows_in_bf16(std::string_view operation) {
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

// The last one leaves some convolutions to a library.
std::vector<TestedDevice> devices_some_with_a_library() {
  std::vector<TestedDevice> all = cuda_devices();
  const LibrariesAreThere scope;
  all.push_back({"cuda on the host, with a library", make_emulated_cuda(by_rule(1))});
  return all;
}

Outcome without_answers(Outcome outcome) {
  for (std::size_t i = 1; i < outcome.loss_rows.size(); i += 2) outcome.loss_rows[i] = 0;
  outcome.result.correct = 0;
  return outcome;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda)

// The table of cases, the golden runs, the optimizers and whole networks run over devices(), of which a GPU is
// one.
BOOST_AUTO_TEST_CASE(a_gpu_is_among_the_devices_that_are_tested,
                     *boost::unit_test::precondition(there_is_a_gpu)) {
  BOOST_TEST(std::ranges::count(devices(), std::string("cuda"), &TestedDevice::name) == 1);
}

BOOST_DATA_TEST_CASE(every_operation_agrees_with_the_reference_in_bf16, data::make(operations()), operation) {
  const Tolerance tolerated = tolerance(DType::bf16);
  for (const OpCase& row : rows_in_bf16(operation)) {
    reference::ReferenceDevice reference;
    CaseRun expected(reference, row, true, DType::bf16);
    const Outcome exact = without_answers(expected.step());
    for (const auto& [name, device] : cuda_devices()) {
      BOOST_TEST_CONTEXT(name << ", " << row.name) {
        CaseRun run(*device, row, true, DType::bf16);
        const Outcome first = run.step();
        check_outcome(without_answers(first), exact, expected.store().layout(), tolerated.value,
                      tolerated.gradient);
        BOOST_TEST((run.step() == first));
      }
    }
  }
}

// Enough pictures for convolutions that do for each other what they can: two tiles of channels, an output that
// the reader cannot normalise, one that it does not read to the last row, an activation without a norm.
BOOST_AUTO_TEST_CASE(neighbours_compute_what_the_reference_computes) {
  NetworkBuilder builder({4, 9, 9});
  const auto unit = [&](const Conv& conv, bool norm, bool activation) {
    builder.add(conv);
    if (norm) builder.add(BatchNorm{});
    if (activation) builder.add(GeneralRelu{.leak = 1, .sub = 0.4});  // no kink: bf16 may lie on its other side
  };
  unit({.out = 16, .padding = {1, 1}}, true, true);
  unit({.out = 72, .padding = {1, 1}, .bias = false}, true, true);
  unit({.out = 72, .padding = {1, 1}}, true, true);  // a library's, where there is one
  unit({.out = 8, .kernel = {1, 1}}, true, false);
  unit({.out = 12, .kernel = {1, 1}, .stride = {2, 2}}, true, true);
  unit({.out = 12, .kernel = {2, 2}, .stride = {2, 2}}, true, true);
  unit({.out = 10, .padding = {1, 1}}, false, true);
  unit({.out = 6, .padding = {1, 1}}, true, true);
  builder.add(GlobalAvgPool{});
  OpCase row;
  row.name = "a chain";
  row.network = builder.build();
  row.batch = 36;
  row.seed = 77;
  for (const DType precision : {DType::f32, DType::bf16}) {
    reference::ReferenceDevice reference;
    CaseRun expected(reference, row, true, precision);
    const Outcome truth = expected.step();
    for (const auto& [name, device] : devices_some_with_a_library()) {
      BOOST_TEST_CONTEXT(name << ", " << descent::name(precision)) {
        CaseRun run(*device, row, true, precision);
        const double tolerated = tolerance(precision).whole_network;
        check_outcome(run.step(), truth, run.store().layout(), tolerated, tolerated);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_step_at_once_gives_the_bits_of_its_parts) {
  for (const std::string optimizer : {"sgd", "momentum", "adam"}) {
    for (const double clip_norm : {0.0, 0.05}) {
      for (const auto& [name, device] : cuda_devices()) {
        BOOST_TEST_CONTEXT(name << ", " << optimizer << ", clipped at " << clip_norm) {
          const TrainingRequest parts{.clip_norm = clip_norm, .optimizer = optimizer};
          TrainingRequest at_once = parts;
          at_once.at_once = true;
          BOOST_TEST((train(*device, at_once) == train(*device, parts)));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(steps_are_recorded_the_second_time_and_then_played_back) {
  const auto device = make_emulated_cuda(by_rule(1));
  const std::size_t before = emulated_replays();
  static_cast<void>(train(*device, {.at_once = true, .steps = 1}));
  BOOST_TEST(emulated_replays() == before);
  static_cast<void>(train(*device, {.at_once = true, .steps = 6}));
  BOOST_TEST(emulated_replays() == before + 5);
}

BOOST_AUTO_TEST_CASE(a_step_follows_the_reference) {
  reference::ReferenceDevice reference;
  const Training expected = train(reference, {});
  for (const auto& [name, device] : cuda_devices()) {
    BOOST_TEST_CONTEXT(name) {
      const Training actual = train(*device, {.at_once = true});
      for (std::size_t step = 0; step < expected.losses.size(); ++step)
        BOOST_TEST(std::abs(actual.losses[step] - expected.losses[step]) <= 1e-4 * expected.losses[step]);
      check_near("parameters", actual.parameters, expected.parameters, largest(expected.parameters), 2e-4);
      check_near("statistics", actual.statistics, expected.statistics, largest(expected.statistics), 1e-4);
    }
  }
}

BOOST_AUTO_TEST_CASE(pictures_kept_on_the_device_are_those_that_are_sent) {
  for (const auto& [name, device] : cuda_devices()) {
    for (const DType precision : {DType::f32, DType::bf16}) {
      for (const bool augmented : {false, true}) {
        BOOST_TEST_CONTEXT(name) {
          TrainingRequest request{.at_once = true, .augmented = augmented, .precision = precision};
          const Training sent = train(*device, request);
          request.placed = true;
          BOOST_TEST((train(*device, request) == sent));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(loaded_pictures_have_the_bits_of_the_cpu) {
  NetworkBuilder builder({3, 5, 7});
  builder.add(Conv{.out = 2});
  Network network = builder.build();
  network.normalisation = Normalisation{{0.2F, 0.31F, 0.5F}, {0.3F, 0.21F, 0.7F}};
  PictureSet pictures;
  pictures.shape = network.input;
  for (std::size_t i = 0; i < std::size_t{3} * 5 * 7 * 9; ++i)
    pictures.pictures.push_back(static_cast<std::uint8_t>(i * 37 % 256));
  pictures.labels.assign(9, 0);
  const std::vector<std::uint32_t> indices{8, 0, 3, 3};
  const auto input_of = [&](Device& device, const std::vector<PictureView>& views) {
    ParameterStore store(device, parameter_layout(network), false);
    const auto plan = device.prepare(network, {.batch = 4}, store);
    Buffer workspace = device.allocate(plan->workspace_bytes());
    plan->bind(workspace);
    plan->load(pictures.source(network.normalisation), {indices, views});
    std::vector<float> values(std::size_t{4} * 3 * 5 * 7);
    plan->read(Plan::Port::input, values);
    return values;
  };
  const auto all = devices();
  for (const std::vector<PictureView>& views :
       {std::vector<PictureView>{}, {{0, 0, true}, {2, -1, false}, {-4, 3, true}, {1, 1, true}}}) {
    const std::vector<float> expected = input_of(*all.front().device, views);
    for (const auto& [name, device] : all) BOOST_TEST((input_of(*device, views) == expected), name);
  }
}

BOOST_AUTO_TEST_CASE(a_loss_is_there_before_the_device_has_done_all) {
  const auto device = make_emulated_cuda(by_rule(1));
  const OpCase* const row = op_cases_of("softmax_cross_entropy").front();
  CaseRun run(*device, *row);
  run.restore_parameters();
  run.load_values();
  run.forward();
  const StepResult expected = run.plan().result();
  run.forward();
  const HeldStreams held;  // what follows the forward
  const StepResult result = run.plan().result();
  BOOST_TEST(result.loss_sum == expected.loss_sum);
  BOOST_TEST(result.correct == expected.correct);
}

BOOST_AUTO_TEST_CASE(nothing_moves_where_the_loss_is_not_finite) {
  const Network network = small_network();
  for (const auto& [name, device] : cuda_devices()) {
    BOOST_TEST_CONTEXT(name) {
      ParameterStore store(*device, parameter_layout(network), true);
      HostParameters parameters = initialise(network, store.layout(), Initialisation::pytorch, 7);
      parameters.trained.front() = std::numeric_limits<float>::infinity();
      store.upload(parameters);
      const auto plan = device->prepare(network, {.mode = Mode::train, .batch = 4, .loss = true}, store);
      Buffer workspace = device->allocate(plan->workspace_bytes());
      plan->bind(workspace);
      const PictureSet pictures = half_pictures(4, 3);
      plan->load(pictures.source(network.normalisation), {std::vector<std::uint32_t>{0, 1, 2, 3}});
      const Optimizer optimizer = make_optimizer("sgd");
      OptimizerState state(*device, store.layout(), slots(optimizer));
      const std::vector<UpdateRange> ranges = update_ranges(store.layout(), {});
      plan->step({}, state, {optimizer, ranges, 0.1});
      BOOST_TEST(!std::isfinite(plan->result().loss_sum));
      BOOST_TEST((store.download().trained == parameters.trained));
      BOOST_TEST(plan->first_nonfinite_layer({}).value_or("none").starts_with("0"));
    }
  }
}

BOOST_AUTO_TEST_CASE(summaries_are_those_of_the_cpu) {
  std::vector<float> values(70001);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 3 + 4 * std::sin(static_cast<float>(i) * 0.37F) + static_cast<float>(i % 41) * 0.25F - 5;
  const auto summary_of = [&](Device& device, bool histogram) {
    Buffer buffer = device.allocate(values.size() * sizeof(float));
    device.upload(buffer.data(), DType::f32, values);
    Summary summary;
    device.summarise({buffer.data(), DType::f32, values.size()}, histogram, summary);
    device.wait();
    return summary;
  };
  const auto all = devices();
  for (const bool histogram : {false, true}) {
    const Summary expected = summary_of(*all.front().device, histogram);
    for (const auto& [name, device] : all) {
      const Summary summary = summary_of(*device, histogram);
      BOOST_TEST_CONTEXT(name) {
        BOOST_TEST(summary.count == expected.count);
        BOOST_TEST(std::abs(summary.mean - expected.mean) <= 1e-12 * std::abs(expected.mean));
        BOOST_TEST(std::abs(summary.squared_deviations - expected.squared_deviations) <=
                   1e-11 * expected.squared_deviations);
        BOOST_TEST((summary.histogram == expected.histogram));
      }
    }
  }
}

// Fits with observers, whole and partial batches, validation; the CPU and every CUDA device.
BOOST_AUTO_TEST_CASE(a_fit_ends_where_that_of_the_cpu_ends) {
  const auto fit_on = [](Device& device, const Network& network) {
    ParameterStore store(device, parameter_layout(network), true);
    store.upload(initialise(network, store.layout(), Initialisation::pytorch, 3));
    TrainSettings settings;
    settings.epochs = 3;
    settings.batch_size = 12;  // 5 of them and a partial one
    settings.optimizer = Momentum{};
    std::visit([](auto& rule) { rule.learning_rate = 0.05; }, settings.optimizer);
    const DataSet data = half_data(64, 20);
    return fit(network, store, data, settings, std::vector<Observer*>{});
  };
  const auto all = devices();
  const std::vector<EpochMetrics> expected = fit_on(*all.front().device, small_network());
  for (const auto& [name, device] : all) {
    const std::vector<EpochMetrics> actual = fit_on(*device, small_network());
    for (std::size_t epoch = 0; epoch < expected.size(); ++epoch) {
      BOOST_TEST_CONTEXT(name << ", epoch " << epoch) {
        BOOST_TEST(std::abs(actual[epoch].train.loss - expected[epoch].train.loss) <= 1e-4);
        BOOST_TEST(std::abs(actual[epoch].valid.loss - expected[epoch].valid.loss) <= 1e-4);
        BOOST_TEST(actual[epoch].train.pictures == 64);
        BOOST_TEST(actual[epoch].valid.accuracy == expected[epoch].valid.accuracy);
      }
    }
  }
}

// On the same device to the same bits.
BOOST_AUTO_TEST_CASE(a_fit_left_on_one_device_goes_on_on_every_other) {
  const Network network = small_network();
  const DataSet data = half_data(64, 20);
  TrainSettings settings;
  settings.epochs = 3;
  settings.batch_size = 12;
  settings.optimizer = Adam{0.01};
  const auto fit_on = [&](Device& device, std::vector<Observer*> observers, const FitCheckpoint* from) {
    ParameterStore store(device, parameter_layout(network), true);
    store.upload(initialise(network, store.layout(), Initialisation::pytorch, 3));
    static_cast<void>(fit(network, store, data, settings, observers, from));
    return store.download();
  };
  const auto all = devices();
  for (const auto& [first_name, first] : all) {
    Leaver leaver(
        [](const FitState& state) { return state.training && state.step == 7; });  // in the second epoch
    static_cast<void>(fit_on(*first, {&leaver}, nullptr));
    BOOST_TEST(leaver.left.position.step == 8);
    for (const auto& [then_name, then] : all) {
      BOOST_TEST_CONTEXT(first_name << ", then " << then_name) {
        const HostParameters straight = fit_on(*then, {}, nullptr);
        const HostParameters taken_up = fit_on(*then, {}, &leaver.left);
        if (first == then) BOOST_TEST((taken_up.trained == straight.trained));
        check_near("parameters", taken_up.trained, straight.trained, largest(straight.trained), 2e-3);
        check_near("statistics", taken_up.statistics, straight.statistics, largest(straight.statistics), 2e-3);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(weights_move_between_devices) {
  const Network network = small_network();
  const HostParameters parameters = initialise(network, parameter_layout(network), Initialisation::pytorch, 7);
  for (const auto& [name, device] : devices()) {
    ParameterStore store(*device, parameter_layout(network), false);
    store.upload(parameters);
    const HostParameters back = store.download();
    BOOST_TEST((back.trained == parameters.trained && back.statistics == parameters.statistics), name);
  }
}

BOOST_AUTO_TEST_CASE(a_name_that_is_no_device_is_refused_with_the_nearest) {
  BOOST_TEST(message_of([] { check_device_name("cuad"); }).find("'cuda'") != std::string::npos);
  for (const std::string name : {"cuda:", "cuda:x", "cuda:-1", "cuda:1x"}) {
    BOOST_TEST(message_of([&] { check_device_name(name); }).find("the number of a GPU") != std::string::npos,
               name);
  }
  for (const std::string name : {"cpu", "cuda", "cuda:0", "cuda:12"})
    BOOST_CHECK_NO_THROW(check_device_name(name));
}

BOOST_AUTO_TEST_CASE(a_gpu_that_is_not_there_is_named) {
  const std::string message = message_of([] { static_cast<void>(make_emulated_cuda(by_rule(1), 3)); });
  BOOST_TEST(message == "there is no CUDA device 3: this machine has 1, counted from 0");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
