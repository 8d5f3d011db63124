// The training loop: order of hooks, scopes and their cancelling, metrics, and that it learns.
#include "descent/error.h"
#include "descent/train.h"
#include "network_builder.h"
#include "small_fit.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

using namespace descent;
using descent::test::half_data;
using descent::test::NetworkBuilder;
using descent::test::SmallFit;

namespace {

Network make_normalised_network() {
  NetworkBuilder builder({1, 4, 4});
  builder.add(Conv{4, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true});
  builder.add(BatchNorm{});
  builder.add(GeneralRelu{0.1, 0.4, {}});
  builder.add(GlobalAvgPool{});
  builder.add(Flatten{});
  builder.add(Linear{4, true});
  builder.add(BatchNorm{});
  builder.add(Linear{2, true});
  return builder.build();
}

// A fit whose settings are given at each run.
struct Setup : SmallFit {
  using SmallFit::SmallFit;

  std::vector<EpochMetrics> fit(const DataSet& data, const TrainSettings& with,
                                std::vector<Observer*> observers = {}) {
    settings = with;
    return run(data, std::move(observers));
  }
};

TrainSettings make_settings(std::int64_t epochs, std::int64_t batch) {
  TrainSettings settings;
  settings.epochs = epochs;
  settings.batch_size = batch;
  settings.optimizer = Sgd{0.1, 0};
  return settings;
}

// Writes down every hook, and does what a test wants at one of them.
class Diary : public Observer {
 public:
  std::string text;
  std::map<std::string, std::function<void(FitState&)>> actions;

  void before_fit(FitState& state) override { note("before_fit", state); }
  void before_epoch(FitState& state) override { note("before_epoch", state); }
  void before_batch(FitState& state) override { note("before_batch", state); }
  void after_loss(FitState& state) override { note("after_loss", state); }
  void after_backward(FitState& state) override { note("after_backward", state); }
  void after_step(FitState& state) override { note("after_step", state); }
  void after_batch(FitState& state) override { note("after_batch", state); }
  void after_epoch(FitState& state) override { note("after_epoch", state); }
  void after_both_phases(FitState& state, const EpochMetrics& /*metrics*/) override {
    note("after_both_phases", state);
  }
  void after_fit(FitState& state) override { note("after_fit", state); }
  void cleanup_batch(FitState& state) override { note("cleanup_batch", state); }
  void cleanup_epoch(FitState& state) override { note("cleanup_epoch", state); }
  void cleanup_fit(FitState& state) override { note("cleanup_fit", state); }

 private:
  void note(const std::string& hook, FitState& state) {
    text += hook + " ";
    const auto found = actions.find(hook);
    if (found != actions.end()) found->second(state);
  }
};

const std::string trained_batch =
    "before_batch after_loss after_backward after_step after_batch cleanup_batch ";
const std::string validated =
    "before_epoch before_batch after_loss after_batch cleanup_batch after_epoch cleanup_epoch ";

// Cancels `scope` in the training batch of step `step`.
std::function<void(FitState&)> cancel_at(std::int64_t step, Scope scope) {
  return [step, scope](FitState& state) {
    if (state.training && state.step == step) throw Cancel{scope};
  };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fit_loop)

BOOST_AUTO_TEST_CASE(hooks_run_in_the_order_of_the_course) {
  Setup setup;
  Diary diary;
  setup.fit(half_data(4, 2), make_settings(1, 2), {&diary});
  BOOST_TEST(diary.text == "before_fit before_epoch " + trained_batch + trained_batch +
                               "after_epoch cleanup_epoch " + validated +
                               "after_both_phases after_fit cleanup_fit ");
}

BOOST_AUTO_TEST_CASE(observers_are_called_in_the_order_given) {
  Setup setup;
  Diary first;
  Diary second;
  std::string order;
  first.actions["before_batch"] = [&](FitState&) { order += "1"; };
  second.actions["before_batch"] = [&](FitState&) { order += "2"; };
  setup.fit(half_data(2, 2), make_settings(1, 2), {&first, &second});
  BOOST_TEST(order == "1212");
}

BOOST_AUTO_TEST_CASE(a_cancelled_batch_skips_its_rest_and_is_cleaned_up) {
  Setup setup;
  Diary diary;
  diary.actions["after_loss"] = cancel_at(0, Scope::batch);
  setup.fit(half_data(4, 2), make_settings(1, 2), {&diary});
  BOOST_TEST(diary.text == "before_fit before_epoch before_batch after_loss cleanup_batch " + trained_batch +
                               "after_epoch cleanup_epoch " + validated +
                               "after_both_phases after_fit cleanup_fit ");
}

BOOST_AUTO_TEST_CASE(a_batch_cancelled_before_its_update_leaves_the_weights) {
  Setup setup;
  const std::vector<float> before = setup.store.download().trained;
  Diary diary;
  diary.actions["after_backward"] = [](FitState&) { throw Cancel{Scope::batch}; };
  setup.fit(half_data(4, 2), make_settings(1, 2), {&diary});
  BOOST_TEST(setup.store.download().trained == before);
}

BOOST_AUTO_TEST_CASE(a_cancelled_epoch_cleans_up_the_batch_and_goes_on_with_validation) {
  Setup setup;
  Diary diary;
  diary.actions["after_loss"] = cancel_at(0, Scope::epoch);
  setup.fit(half_data(4, 2), make_settings(1, 2), {&diary});
  BOOST_TEST(diary.text == "before_fit before_epoch before_batch after_loss cleanup_batch cleanup_epoch " +
                               validated + "after_both_phases after_fit cleanup_fit ");
}

BOOST_AUTO_TEST_CASE(a_step_after_which_the_epoch_is_cancelled_counts) {
  Setup setup;
  Diary diary;
  std::vector<std::int64_t> steps;
  diary.actions["after_loss"] = [&](FitState& state) {
    if (state.training) steps.push_back(state.step);
  };
  diary.actions["after_step"] = cancel_at(0, Scope::epoch);
  const std::vector<EpochMetrics> history = setup.fit(half_data(4, 2), make_settings(2, 2), {&diary});
  BOOST_TEST(history.at(0).step == 1);
  BOOST_TEST(steps == (std::vector<std::int64_t>{0, 1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_cancelled_fit_cleans_up_every_scope_and_returns) {
  Setup setup;
  Diary diary;
  diary.actions["after_step"] = cancel_at(1, Scope::fit);
  const std::vector<EpochMetrics> history = setup.fit(half_data(4, 2), make_settings(1, 2), {&diary});
  BOOST_TEST(history.empty());
  BOOST_TEST(diary.text ==
             "before_fit before_epoch " + trained_batch +
                 "before_batch after_loss after_backward after_step cleanup_batch cleanup_epoch cleanup_fit ");
}

BOOST_AUTO_TEST_CASE(an_error_cleans_up_every_scope_and_goes_on_outwards) {
  Setup setup;
  Diary diary;
  diary.actions["before_batch"] = [](FitState&) { throw Error("stop"); };
  BOOST_CHECK_THROW(setup.fit(half_data(4, 2), make_settings(1, 2), {&diary}), Error);
  BOOST_TEST(diary.text == "before_fit before_epoch before_batch cleanup_batch cleanup_epoch cleanup_fit ");
}

BOOST_AUTO_TEST_CASE(all_clean_up_and_the_first_error_counts) {
  Setup setup;
  Diary first;
  Diary second;
  std::vector<bool> failed;
  first.actions["cleanup_fit"] = [&](FitState& state) {
    failed.push_back(state.failed);
    throw Error("cannot clean up");
  };
  const auto error_of = [&] {
    first.text.clear();
    second.text.clear();
    try {
      setup.fit(half_data(2, 2), make_settings(1, 2), {&first, &second});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  BOOST_TEST(error_of() == "cannot clean up");
  BOOST_TEST(second.text.ends_with("after_fit cleanup_fit "));
  second.actions["after_loss"] = cancel_at(0, Scope::fit);
  BOOST_TEST(error_of() == "cannot clean up");
  second.actions["after_loss"] = [](FitState&) { throw Error("stop"); };
  BOOST_TEST(error_of() == "stop");
  BOOST_TEST(second.text.ends_with("after_loss cleanup_batch cleanup_epoch cleanup_fit "));
  BOOST_TEST(failed == (std::vector<bool>{false, false, true}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(metrics_weigh_batches_by_their_pictures) {
  Setup setup;
  double loss_sum = 0;
  std::vector<std::int64_t> sizes;
  Diary diary;
  diary.actions["after_loss"] = [&](FitState& state) {
    if (!state.training) return;
    loss_sum += state.batch_loss * static_cast<double>(state.batch_pictures);
    sizes.push_back(state.batch_pictures);
  };
  const std::vector<EpochMetrics> history = setup.fit(half_data(7, 5), make_settings(1, 3), {&diary});
  BOOST_TEST(sizes == (std::vector<std::int64_t>{3, 3, 1}), boost::test_tools::per_element());
  BOOST_TEST(history.at(0).train.pictures == 7);
  BOOST_CHECK_CLOSE(history.at(0).train.loss, loss_sum / 7, 1e-10);
}

BOOST_AUTO_TEST_CASE(the_loss_of_a_fit_with_no_rate_is_that_of_evaluation) {
  Setup setup;
  const DataSet data = half_data(7, 5);
  Diary diary;
  diary.actions["before_fit"] = [](FitState& state) { state.learning_rate = 0; };
  const EpochMetrics metrics = setup.fit(data, make_settings(1, 3), {&diary}).at(0);
  for (const std::int64_t batch : {1, 2, 5, 100}) {
    const PhaseMetrics train = evaluate(setup.network, setup.store, data.train, batch);
    const PhaseMetrics valid = evaluate(setup.network, setup.store, data.valid, batch);
    BOOST_CHECK_CLOSE(metrics.train.loss, train.loss, 1e-3);
    BOOST_CHECK_CLOSE(metrics.valid.loss, valid.loss, 1e-3);
    BOOST_TEST(metrics.train.accuracy == train.accuracy);
    BOOST_TEST(metrics.valid.accuracy == valid.accuracy);
  }
}

BOOST_AUTO_TEST_CASE(validation_uses_the_weights_at_the_end_of_the_epoch) {
  Setup setup(make_normalised_network());
  const DataSet data = half_data(12, 6);
  const EpochMetrics last = setup.fit(data, make_settings(3, 4)).back();
  const PhaseMetrics again = evaluate(setup.network, setup.store, data.valid, 6);
  BOOST_CHECK_CLOSE(last.valid.loss, again.loss, 1e-6);
  BOOST_TEST(last.valid.accuracy == again.accuracy);
}

BOOST_AUTO_TEST_CASE(every_training_batch_counts_for_every_batch_norm) {
  Setup setup(make_normalised_network());
  setup.fit(half_data(12, 6), make_settings(2, 5));
  BOOST_TEST(setup.store.download().counters == (std::vector<std::int64_t>{6, 6}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(steps_end_training_in_the_middle_of_an_epoch_and_validate) {
  Setup setup;
  TrainSettings settings = make_settings(5, 2);
  settings.steps = 4;
  const std::vector<EpochMetrics> history = setup.fit(half_data(6, 2), settings);
  BOOST_REQUIRE(history.size() == 2U);
  BOOST_TEST(history[1].step == 4);
  BOOST_TEST(history[1].train.pictures == 2);
  BOOST_TEST(history[1].valid.pictures == 2);
}

BOOST_AUTO_TEST_CASE(a_batch_larger_than_the_data_is_the_data) {
  Setup setup;
  const EpochMetrics metrics = setup.fit(half_data(6, 2), make_settings(1, 1000)).at(0);
  BOOST_TEST(metrics.step == 1);
  BOOST_TEST(metrics.train.pictures == 6);
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_bits_and_another_does_not) {
  const DataSet data = half_data(20, 6);
  const auto trained = [&](std::uint64_t seed, bool shuffle) {
    Setup setup(make_normalised_network());
    TrainSettings settings = make_settings(2, 6);
    settings.seed = seed;
    settings.shuffle = shuffle;
    setup.fit(data, settings);
    return setup.store.download().trained;
  };
  BOOST_CHECK(trained(7, true) == trained(7, true));
  BOOST_CHECK(trained(7, true) != trained(8, true));
  BOOST_CHECK(trained(7, false) == trained(8, false));
}

BOOST_AUTO_TEST_CASE(augmentation_shows_training_pictures_otherwise_every_epoch_and_validation_as_it_is) {
  const DataSet data = half_data(20, 6);
  const auto inputs = [&](const Augmentation& augmentation) {
    Setup setup;
    TrainSettings settings = make_settings(2, 20);
    settings.shuffle = false;
    settings.augmentation = augmentation;
    // Inputs that a step reads: training of epochs 0 and 1, then validation.
    std::vector<std::vector<float>> read;
    std::vector<float> losses;
    Diary diary;
    diary.actions["after_loss"] = [&](FitState& state) {
      if (!state.training) return losses.push_back(static_cast<float>(state.batch_loss));
      read.emplace_back(20 * 16);
      state.plan->read(Plan::Port::input, read.back());
    };
    settings.optimizer = Sgd{1e-30, 0};  // validation depends on its pictures alone
    setup.fit(data, settings, {&diary});
    read.push_back(losses);
    return read;
  };
  const auto usual = inputs({});
  const auto augmented = inputs({.flip = true, .shift = 1});
  BOOST_REQUIRE(usual.size() == 3U);
  BOOST_REQUIRE(augmented.size() == 3U);
  BOOST_CHECK(usual[0] == usual[1]);
  BOOST_CHECK(augmented[0] != usual[0]);
  BOOST_CHECK(augmented[0] != augmented[1]);
  BOOST_CHECK(augmented[2] == usual[2]);
  BOOST_CHECK(inputs({.flip = true, .shift = 1}) == augmented);
}

BOOST_AUTO_TEST_CASE(a_shift_out_of_the_picture_is_refused) {
  Setup setup;
  TrainSettings settings = make_settings(1, 6);
  settings.augmentation.shift = 4;
  BOOST_CHECK_THROW(setup.fit(half_data(6, 2), settings), Error);
}

BOOST_AUTO_TEST_CASE(a_small_data_set_is_learnt) {
  Setup setup(make_normalised_network());
  TrainSettings settings = make_settings(12, 16);
  settings.optimizer = Adam{0.03};
  const std::vector<EpochMetrics> history = setup.fit(half_data(96, 32), settings);
  BOOST_TEST(history.front().train.loss > 2 * history.back().train.loss);
  BOOST_TEST(history.back().valid.accuracy >= 0.95);
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_not_finite_names_step_and_layer) {
  Setup setup(make_normalised_network());
  Diary diary;
  diary.actions["before_batch"] = [&](FitState& state) {
    if (state.step != 2) return;
    HostParameters host = state.store.download();
    for (const ParameterEntry& entry : state.store.layout().trained) {
      if (entry.name == "5.weight") host.trained[entry.offset] = std::numeric_limits<float>::quiet_NaN();
    }
    state.store.upload(host);
  };
  try {
    setup.fit(half_data(12, 6), make_settings(1, 4), {&diary});
    BOOST_FAIL("the fit went on");
  } catch (const Error& error) {
    const std::string message = error.what();
    BOOST_TEST(message.find("at step 2: layer '5'") != std::string::npos, message);
    BOOST_TEST(error.exit_code() == 1);
  }
  BOOST_TEST(diary.text.ends_with("before_batch after_loss cleanup_batch cleanup_epoch cleanup_fit "));
}

BOOST_AUTO_TEST_CASE(an_observer_may_cancel_before_a_loss_that_is_not_finite_ends_the_fit) {
  Setup setup(make_normalised_network());
  HostParameters host = setup.store.download();
  for (float& value : host.trained) value = std::numeric_limits<float>::quiet_NaN();
  setup.store.upload(host);
  Diary diary;
  diary.actions["after_loss"] = [](FitState& state) {
    if (!std::isfinite(state.batch_loss)) throw Cancel{Scope::fit};
  };
  BOOST_TEST(setup.fit(half_data(12, 6), make_settings(1, 4), {&diary}).empty());
}

BOOST_AUTO_TEST_CASE(observers_see_which_pictures_are_in_the_batch) {
  Setup setup;
  std::vector<std::uint32_t> trained;
  std::vector<std::uint32_t> validated_ones;
  Diary diary;
  diary.actions["after_loss"] = [&](FitState& state) {
    auto& seen = state.training ? trained : validated_ones;
    seen.insert(seen.end(), state.batch_indices.begin(), state.batch_indices.end());
    std::vector<float> rows(static_cast<std::size_t>(2 * state.batch_pictures));
    state.plan->read(Plan::Port::loss_rows, rows);
    double sum = 0;
    for (std::size_t i = 0; i < rows.size(); i += 2) sum += static_cast<double>(rows[i]);
    BOOST_CHECK_CLOSE(sum / static_cast<double>(state.batch_pictures), state.batch_loss, 1e-9);
  };
  setup.fit(half_data(7, 5), make_settings(1, 3), {&diary});
  BOOST_TEST(validated_ones == (std::vector<std::uint32_t>{0, 1, 2, 3, 4}), boost::test_tools::per_element());
  BOOST_TEST(trained != (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6}), boost::test_tools::per_element());
  std::sort(trained.begin(), trained.end());
  BOOST_TEST(trained == (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_last_batch_of_one_value_a_channel_is_refused_before_the_first_step) {
  Setup setup(make_normalised_network());
  Diary diary;
  BOOST_CHECK_EXCEPTION(setup.fit(half_data(9, 6), make_settings(1, 4), {&diary}), Error,
                        [](const Error& error) {
                          const std::string message = error.what();
                          return message.find("'6'") != std::string::npos && error.exit_code() == 2;
                        });
  BOOST_TEST(diary.text.empty());
}

BOOST_AUTO_TEST_CASE(data_that_does_not_fit_the_network_is_refused) {
  Setup setup;
  DataSet data = half_data(4, 2);
  data.valid.shape = {1, 2, 8};
  BOOST_CHECK_EXCEPTION(setup.fit(data, make_settings(1, 2)), Error, [](const Error& error) {
    return std::string(error.what()).find("1×2×8") != std::string::npos &&
           std::string(error.what()).find("1×4×4") != std::string::npos;
  });
  data = half_data(4, 2);
  data.train.labels[3] = 2;
  BOOST_CHECK_THROW(setup.fit(data, make_settings(1, 2)), Error);
  BOOST_CHECK_THROW(setup.fit(half_data(4, 0), make_settings(1, 2)), Error);
}

BOOST_AUTO_TEST_CASE(a_pattern_that_matches_nothing_is_refused) {
  Setup setup;
  TrainSettings settings = make_settings(1, 2);
  settings.groups = {{"9.*", 1, 0}};
  BOOST_CHECK_THROW(setup.fit(half_data(4, 2), settings), Error);
}

BOOST_AUTO_TEST_SUITE_END()
