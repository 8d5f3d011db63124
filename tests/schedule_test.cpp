// Every schedule against numbers worked out elsewhere (PyTorch's schedulers), and the observer that uses it.
#include "descent/schedule.h"
#include "descent/error.h"
#include "descent/train.h"
#include "small_fit.h"
#include "train/scheduler.h"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

using namespace descent;
using descent::test::half_data;
using descent::test::SmallFit;

namespace {

ScheduleValue value_of(const Schedule& schedule, std::int64_t tick, std::int64_t total, double rate) {
  return value_at(ScheduleSettings{schedule}, {rate, tick, total});
}
double rate_of(const Schedule& schedule, std::int64_t tick, std::int64_t total, double rate) {
  return value_of(schedule, tick, total, rate).rate;
}

// Printed numbers have nine significant digits.
void check_near(double got, double printed, double relative = 5e-9) {
  BOOST_TEST(std::abs(got - printed) <= relative * std::abs(printed) + 1e-18, got << " is not " << printed);
}

std::string complaint(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TrainSettings make_settings(std::int64_t epochs, std::int64_t batch) {
  TrainSettings settings;
  settings.epochs = epochs;
  settings.batch_size = batch;
  settings.optimizer = Sgd{0.1, 0};
  return settings;
}

// What every training step of a fit used.
class Meter : public Observer {
 public:
  std::vector<double> rates;
  std::vector<double> momenta;

  void after_step(FitState& state) override {
    rates.push_back(state.learning_rate);
    if (const auto used = momentum(state.optimizer)) momenta.push_back(*used);
  }
};

Meter metered_fit(const ScheduleSettings& schedule, const TrainSettings& settings, std::size_t pictures) {
  SmallFit small;
  small.settings = settings;
  Scheduler scheduler(schedule);
  Meter meter;
  small.run(half_data(pictures, 2), {&scheduler, &meter});
  return meter;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedules)

BOOST_AUTO_TEST_CASE(cosine_over_177_steps) {
  const CosineRate cosine;
  BOOST_TEST(rate_of(cosine, 0, 177, .02) == .02);
  check_near(rate_of(cosine, 1, 177, .02), .0199984249);
  check_near(rate_of(cosine, 59, 177, .02), .015);
  check_near(rate_of(cosine, 118, 177, .02), .005);
  check_near(rate_of(cosine, 176, 177, .02), 1.57511e-6, 5e-6);  // printed with six digits
  BOOST_TEST(rate_of(cosine, 177, 177, .02) == 0);
}

BOOST_AUTO_TEST_CASE(cosine_over_three_epochs_is_a_staircase) {
  const CosineRate cosine;
  check_near(rate_of(cosine, 0, 3, .02), .02);
  check_near(rate_of(cosine, 1, 3, .02), .015);
  check_near(rate_of(cosine, 2, 3, .02), .005);
}

BOOST_AUTO_TEST_CASE(cosine_rises_again_past_its_period) {
  const CosineRate cosine{0, 100};
  BOOST_TEST(rate_of(cosine, 100, 110, 6e-3) < 1e-18);
  check_near(rate_of(cosine, 110, 110, 6e-3), 1.46830e-4, 5e-6);
  check_near(rate_of(cosine, 200, 110, 6e-3), 6e-3);
}

BOOST_AUTO_TEST_CASE(cosine_ends_at_its_final_rate) {
  const CosineRate cosine{1e-3, 0};
  check_near(rate_of(cosine, 0, 10, .01), .01);
  check_near(rate_of(cosine, 5, 10, .01), .0055);
  check_near(rate_of(cosine, 10, 10, .01), 1e-3);
}

BOOST_AUTO_TEST_CASE(onecycle_over_295_steps) {
  struct Row {
    std::int64_t tick;
    double rate, momentum;
  };
  const std::vector<Row> rows{{0, .0024, .95},
                              {1, .00241856092, .949968},
                              {44, .0314585047, .899551},
                              {87, .0599953594, .850008},
                              {88, .0599991321, .850001},
                              {147, .0485257843, .869124},
                              {200, .0257923045, .907013},
                              {294, 2.4e-7, .95}};
  const OneCycle cycle{.06};
  for (const Row& row : rows) {
    const ScheduleValue value = value_of(cycle, row.tick, 295, .123);
    check_near(value.rate, row.rate);
    BOOST_REQUIRE(value.momentum.has_value());
    BOOST_TEST(std::abs(*value.momentum - row.momentum) <= 5e-7, *value.momentum << " at " << row.tick);
  }
}

BOOST_AUTO_TEST_CASE(onecycle_takes_the_optimizers_rate_as_its_highest_and_ends_with_the_run) {
  const OneCycle cycle;
  check_near(rate_of(cycle, 88, 295, .06), .0599991321);
  BOOST_TEST(std::isfinite(rate_of(cycle, 295, 295, .06)));
  BOOST_TEST(complaint([&] { static_cast<void>(rate_of(cycle, 296, 295, .06)); }).find("296") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(onecycle_of_any_length_stays_between_its_ends) {
  for (const double share : {0.0, 0.25, 0.3, 0.5, 0.99}) {
    for (std::int64_t total = 1; total <= 12; ++total) {
      for (std::int64_t tick = 0; tick < total; ++tick) {
        const ScheduleValue value = value_of(OneCycle{0, share}, tick, total, .06);
        BOOST_TEST((value.rate >= .06 / 25 / 1e4 * (1 - 1e-12) && value.rate <= .06),
                   value.rate << " at " << tick << " of " << total << ", share " << share);
        BOOST_TEST((*value.momentum >= .85 && *value.momentum <= .95));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_other_schedules_follow_their_formulas) {
  BOOST_TEST(rate_of(ConstantRate{}, 7, 10, .3) == .3);
  BOOST_TEST(!value_of(ConstantRate{}, 7, 10, .3).momentum.has_value());
  check_near(rate_of(LinearRate{.1, 0}, 5, 10, .3), .2);
  check_near(rate_of(LinearRate{.1, 0}, 15, 10, .3), .1);
  check_near(rate_of(LinearRate{0, 4}, 3, 10, .4), .1);
  // A third of 10 ticks is 4, rounded up: ticks 0–3, 4–7, 8–9.
  check_near(rate_of(StepRate{}, 3, 10, .3), .3);
  check_near(rate_of(StepRate{}, 4, 10, .3), .03);
  check_near(rate_of(StepRate{}, 8, 10, .3), .003);
  check_near(rate_of(StepRate{2, .5}, 9, 10, .32), .02);
  check_near(rate_of(PolynomialRate{}, 5, 10, .4), .1);
  check_near(rate_of(PolynomialRate{3, .1, 4}, 2, 10, .9), .2);
  check_near(rate_of(PolynomialRate{3, .1, 4}, 9, 10, .9), .1);
}

BOOST_AUTO_TEST_CASE(a_warmup_rises_to_the_schedules_first_value_and_takes_its_time_from_the_run) {
  const ScheduleSettings settings{CosineRate{}, ScheduleBy::step, 3};
  const auto rate = [&](std::int64_t tick) { return value_at(settings, {.4, tick, 13}).rate; };
  check_near(rate(0), .1);
  check_near(rate(1), .2);
  check_near(rate(2), .3);
  check_near(rate(3), .4);
  check_near(rate(8), .2);
  BOOST_TEST(rate(13) < 1e-16);
}

BOOST_AUTO_TEST_CASE(a_warmup_that_cannot_be_is_refused) {
  const auto refused = [](const Schedule& schedule, std::int64_t warmup, std::int64_t total) {
    return complaint([&] { check_schedule({schedule, ScheduleBy::step, warmup}, total); });
  };
  BOOST_TEST(refused(OneCycle{}, 1, 10).find("pct-start") != std::string::npos);
  BOOST_TEST(refused(CosineRate{}, 10, 10).find("a warmup of") != std::string::npos);
  BOOST_TEST(refused(CosineRate{}, 9, 10).empty());
  BOOST_TEST(refused(OneCycle{}, 0, 10).empty());
}

BOOST_AUTO_TEST_CASE(every_schedule_is_made_by_name_and_has_options_with_help) {
  BOOST_TEST(schedule_names() == (std::vector<std::string_view>{"constant", "cosine", "onecycle", "linear",
                                                                "step", "polynomial"}),
             boost::test_tools::per_element());
  for (const std::string_view one : schedule_names()) {
    Schedule schedule = make_schedule(one);
    BOOST_TEST(name(schedule) == one);
    BOOST_TEST(!summary(schedule).empty());
    for (const OptionValue& option : options(schedule)) {
      BOOST_TEST(!option.help.empty());
      set_option(schedule, option.name, option.value);
    }
  }
  BOOST_TEST(complaint([] { static_cast<void>(make_schedule("cosin")); }).find("'cosine'") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(options_are_set_by_name_within_their_limits) {
  Schedule schedule = OneCycle{};
  set_option(schedule, "pct_start", .5);
  BOOST_TEST(std::get<OneCycle>(schedule).pct_start == .5);
  BOOST_TEST(complaint([&] { set_option(schedule, "pct_start", 1); }).find("below 1") != std::string::npos);
  BOOST_TEST(complaint([&] { set_option(schedule, "div", .5); }).find("at least 1") != std::string::npos);
  BOOST_TEST(complaint([&] { set_option(schedule, "max_lt", 1); }).find("'max_lr'") != std::string::npos);
  schedule = CosineRate{};
  BOOST_TEST(complaint([&] { set_option(schedule, "schedule_period", 1.5); }).find("whole") !=
             std::string::npos);
  schedule = ConstantRate{};
  BOOST_TEST(complaint([&] { set_option(schedule, "max_lr", 1); }).find("no options") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_fit_uses_the_value_of_each_step_from_tick_0) {
  const Meter meter = metered_fit({CosineRate{}}, make_settings(3, 2), 4);  // 6 steps of rate 0.1
  BOOST_REQUIRE(meter.rates.size() == 6U);
  for (std::size_t step = 0; step < 6; ++step) {
    check_near(meter.rates[step], rate_of(CosineRate{}, static_cast<std::int64_t>(step), 6, .1), 0);
  }
}

BOOST_AUTO_TEST_CASE(a_fit_by_epochs_keeps_the_rate_within_an_epoch) {
  const Meter meter = metered_fit({CosineRate{}, ScheduleBy::epoch}, make_settings(3, 2), 4);
  BOOST_REQUIRE(meter.rates.size() == 6U);
  const std::vector<double> wanted{.1, .1, .075, .075, .025, .025};
  for (std::size_t step = 0; step < 6; ++step) check_near(meter.rates[step], wanted[step], 1e-12);
}

BOOST_AUTO_TEST_CASE(a_fit_that_steps_cut_short_ends_its_schedule_with_them) {
  TrainSettings settings = make_settings(9, 2);
  settings.steps = 3;
  const Meter meter = metered_fit({LinearRate{}}, settings, 4);
  BOOST_REQUIRE(meter.rates.size() == 3U);
  check_near(meter.rates[2], .1 / 3, 1e-12);
  const Meter epochs = metered_fit({LinearRate{}, ScheduleBy::epoch}, settings, 4);  // 2 steps an epoch
  check_near(epochs.rates[1], .1, 1e-12);
  check_near(epochs.rates[2], .05, 1e-12);
}

BOOST_AUTO_TEST_CASE(onecycle_moves_the_momentum_of_the_rules_that_have_one) {
  for (const std::string rule :
       {"momentum", "heavy-ball", "nesterov", "adam", "adam-inside", "adam2", "adamw"}) {
    TrainSettings settings = make_settings(5, 2);
    settings.optimizer = make_optimizer(rule);
    const Meter meter = metered_fit({OneCycle{.01}}, settings, 4);
    BOOST_REQUIRE(meter.momenta.size() == 10U);
    for (std::size_t step = 0; step < 10; ++step) {
      const ScheduleValue value = value_of(OneCycle{.01}, static_cast<std::int64_t>(step), 10, 0);
      BOOST_TEST(meter.momenta[step] == *value.momentum, rule);
      BOOST_TEST(meter.rates[step] == value.rate, rule);
    }
  }
}

BOOST_AUTO_TEST_CASE(rules_without_momentum_follow_the_rate_alone) {
  for (const std::string rule : {"sgd", "rmsprop"}) {
    TrainSettings settings = make_settings(2, 2);
    settings.optimizer = make_optimizer(rule);
    const Meter meter = metered_fit({OneCycle{.01}}, settings, 4);
    BOOST_TEST(meter.momenta.empty());
    BOOST_TEST(meter.rates.at(1) == rate_of(OneCycle{.01}, 1, 4, 0));
  }
}

BOOST_AUTO_TEST_CASE(a_schedules_rate_reaches_the_weights) {
  // One step of plain descent moves each weight in proportion to its rate: the warmup's first half of it.
  const auto first_move = [](std::int64_t warmup) {
    SmallFit small;
    const std::vector<float> before = small.store.download().trained;
    small.settings = make_settings(2, 4);
    Scheduler scheduler({ConstantRate{}, ScheduleBy::step, warmup});
    class Stop : public Observer {
      void after_step(FitState& /*state*/) override { throw Cancel{Scope::fit}; }
    } stop;
    small.run(half_data(4, 2), {&scheduler, &stop});
    return small.store.download().trained[0] - before[0];
  };
  BOOST_TEST(first_move(0) != 0);
  BOOST_CHECK_CLOSE(first_move(0), 2 * first_move(1), 1e-2);
}

BOOST_AUTO_TEST_CASE(a_warmup_longer_than_the_fit_is_refused_before_the_first_step) {
  const std::string message = complaint([] {
    metered_fit({CosineRate{}, ScheduleBy::step, 6}, make_settings(3, 2), 4);
  });
  BOOST_TEST(message.find("a warmup of") != std::string::npos, message);
}

BOOST_AUTO_TEST_SUITE_END()
