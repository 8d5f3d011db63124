// A fit that is left and taken up again: the same bits as if it had never been left.
#include "descent/checkpoint.h"
#include "descent/error.h"
#include "descent/weights.h"
#include "small_fit.h"
#include "temporary_folder.h"
#include "train/scheduler.h"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace descent::test {
namespace {

namespace data = boost::unit_test::data;

constexpr std::int64_t steps_per_epoch = 4;  // three of six pictures, one of two

struct Outcome {
  HostParameters parameters;
  std::vector<EpochMetrics> epochs;
};

class Fitting {
 public:
  explicit Fitting(std::string_view optimizer) : data_(half_data(20, 6)) {
    settings_.epochs = 3;
    settings_.batch_size = 6;
    settings_.optimizer = make_optimizer(optimizer);
    settings_.augmentation = {.flip = true, .shift = 1};
    schedule_.schedule = make_schedule("onecycle");
  }

  Outcome run(Observer* more, const FitCheckpoint* from, std::uint64_t first_weights = 3) {
    SmallFit fit(small_network());
    fit.store.upload(initialise(fit.network, fit.store.layout(), Initialisation::pytorch, first_weights));
    Scheduler scheduler(schedule_);
    std::vector<Observer*> observers{&scheduler};
    if (more != nullptr) observers.push_back(more);
    Outcome outcome;
    outcome.epochs = descent::fit(fit.network, fit.store, data_, settings_, observers, from);
    outcome.parameters = fit.store.download();
    return outcome;
  }

  // Through a file, and from a store that held something else.
  Outcome taken_up(const FitCheckpoint& left) {
    const TemporaryFolder folder;
    const ParameterLayout layout = parameter_layout(small_network());
    save_checkpoint(folder / "fit.safetensors", left, layout);
    const FitCheckpoint loaded = load_checkpoint(folder / "fit.safetensors", layout);
    return run(nullptr, &loaded, 99);
  }

  TrainSettings& settings() { return settings_; }

 private:
  DataSet data_;
  TrainSettings settings_;
  ScheduleSettings schedule_;
};

void check_same(const Outcome& actual, const Outcome& expected) {
  BOOST_CHECK(actual.parameters.trained == expected.parameters.trained);
  BOOST_CHECK(actual.parameters.statistics == expected.parameters.statistics);
  BOOST_CHECK(actual.parameters.counters == expected.parameters.counters);
  BOOST_REQUIRE(!actual.epochs.empty());
  // Those before were the other fit's.
  const std::size_t before = expected.epochs.size() - actual.epochs.size();
  for (std::size_t i = 0; i < actual.epochs.size(); ++i) {
    const EpochMetrics& here = actual.epochs[i];
    const EpochMetrics& there = expected.epochs[before + i];
    BOOST_TEST(here.epoch == there.epoch);
    BOOST_TEST(here.step == there.step);
    BOOST_TEST(here.learning_rate == there.learning_rate);
    BOOST_TEST(here.train.loss == there.train.loss);
    BOOST_TEST(here.train.accuracy == there.train.accuracy);
    BOOST_TEST(here.train.pictures == there.train.pictures);
    BOOST_TEST(here.valid.loss == there.valid.loss);
  }
}

FitCheckpoint left_after(Fitting& fitting, std::int64_t step) {
  Leaver leaver([step](const FitState& state) { return state.training && state.step == step - 1; });
  static_cast<void>(fitting.run(&leaver, nullptr));
  return leaver.left;
}

ParameterLayout layout() {
  return parameter_layout(small_network());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint)

BOOST_DATA_TEST_CASE(a_fit_left_after_any_step_goes_on_with_the_same_bits, data::make(optimizer_names()),
                     optimizer) {
  Fitting fitting(optimizer);
  const Outcome straight = fitting.run(nullptr, nullptr);
  for (const std::int64_t step : {1, 3, 4, 5, 8, 11}) {
    BOOST_TEST_CONTEXT("left after step " << step) {
      const FitCheckpoint left = left_after(fitting, step);
      BOOST_TEST(left.position.step == step);
      BOOST_TEST(left.updates == step);
      check_same(fitting.taken_up(left), straight);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_fit_left_in_a_validation_validates_again) {
  Fitting fitting("adam");
  const Outcome straight = fitting.run(nullptr, nullptr);
  Leaver leaver([](const FitState& state) { return !state.training && state.epoch == 1; });
  static_cast<void>(fitting.run(&leaver, nullptr));
  BOOST_TEST(leaver.left.position.epoch == 1);
  BOOST_TEST(leaver.left.position.batch == steps_per_epoch);
  const Outcome taken_up = fitting.taken_up(leaver.left);
  BOOST_TEST(taken_up.epochs.size() == 2U);
  check_same(taken_up, straight);
}

BOOST_AUTO_TEST_CASE(a_fit_that_is_done_goes_on_with_more_epochs_or_steps) {
  Fitting fitting("momentum");
  Leaver to_the_end([](const FitState&) { return false; });
  fitting.settings().steps = 6;  // in the second epoch
  static_cast<void>(fitting.run(&to_the_end, nullptr));
  BOOST_TEST(to_the_end.left.position.epoch == 1);
  BOOST_TEST(to_the_end.left.position.batch == 2);
  fitting.settings().steps = 0;
  // The schedule of a fit of six steps was another one: this is about where it goes on.
  const Outcome more = fitting.taken_up(to_the_end.left);
  BOOST_REQUIRE(more.epochs.size() == 2U);
  BOOST_TEST(more.epochs[0].epoch == 1);
  BOOST_TEST(more.epochs[0].step == 2 * steps_per_epoch);
  BOOST_TEST(more.epochs[0].train.pictures == 20);
  BOOST_TEST(more.epochs[1].epoch == 2);
}

BOOST_AUTO_TEST_CASE(the_best_accuracy_so_far_is_known) {
  Fitting fitting("adam");
  const Outcome straight = fitting.run(nullptr, nullptr);
  const FitCheckpoint left = left_after(fitting, steps_per_epoch + 1);
  BOOST_TEST(left.position.best_accuracy == straight.epochs[0].valid.accuracy);
  BOOST_TEST(left_after(fitting, 1).position.best_accuracy == -1.0);
}

BOOST_AUTO_TEST_CASE(another_optimizer_or_other_batches_are_refused) {
  Fitting fitting("adam");
  const FitCheckpoint left = left_after(fitting, 2);
  Fitting other("sgd");
  BOOST_CHECK_THROW(static_cast<void>(other.run(nullptr, &left)), Error);
  fitting.settings().batch_size = 10;
  BOOST_CHECK_THROW(static_cast<void>(fitting.run(nullptr, &left)), Error);
}

BOOST_AUTO_TEST_CASE(a_file_without_a_fit_or_with_a_damaged_one_is_refused) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder / "fit.safetensors";
  Fitting fitting("adam");
  const FitCheckpoint left = left_after(fitting, 2);
  save_checkpoint(file, left, layout());
  const SafetensorsFile whole = read_safetensors(file);
  const auto refused = [&](const std::function<void(SafetensorsFile&)>& damage, const std::string& part) {
    SafetensorsFile damaged = whole;
    damage(damaged);
    write_safetensors(file, damaged);
    BOOST_CHECK_EXCEPTION(static_cast<void>(load_checkpoint(file, layout())), Error, [&](const Error& error) {
      const std::string text = error.what();
      BOOST_TEST_CONTEXT(text) {
        BOOST_TEST((text.find("fit.safetensors") != text.npos && text.find(part) != text.npos));
      }
      return true;
    });
  };
  refused([](SafetensorsFile& content) { content.metadata.clear(); }, "no fit");
  refused([](SafetensorsFile& content) { content.metadata["descent.fit"] = "{"; }, "descent.fit");
  refused([](SafetensorsFile& content) { content.metadata["descent.fit"] = R"({"version": 2})"; }, "version");
  refused(
      [](SafetensorsFile& content) {
        std::string& text = content.metadata["descent.fit"];
        text.replace(text.find("\"updates\":"), 10, "\"updates\":-");
      },
      "position");
  refused(
      [](SafetensorsFile& content) {
        std::erase_if(content.tensors, [](const FileTensor& one) { return one.name == "optimizer.1.0.bias"; });
      },
      "0.bias");
  refused([](SafetensorsFile& content) { content.tensors.front().name = "other"; }, "other");
  BOOST_CHECK_THROW(static_cast<void>(load_checkpoint(folder / "none", layout())), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
