// The learning-rate finder: its rates, when it ends, what it leaves as it was, and what it says of a curve.
#include "descent/lr_find.h"
#include "descent/error.h"
#include "small_fit.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace descent;
using descent::test::half_data;
using descent::test::NetworkBuilder;
using descent::test::SmallFit;

namespace {

constexpr double never = 1e20;  // no loss of these small problems is so much larger than another

RateSearch search(SmallFit& small, const DataSet& data, const FinderSettings& finder,
                  const std::vector<Observer*>& others = {}) {
  return find_learning_rate(small.network, small.store, data, small.settings, finder, others);
}

Network normalised_network() {
  NetworkBuilder builder({1, 4, 4});
  builder.add(Conv{4, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true});
  builder.add(BatchNorm{});
  builder.add(GeneralRelu{0.1, 0.4, {}});
  builder.add(Flatten{});
  builder.add(Linear{2, true});
  return builder.build();
}

struct Counter : Observer {
  int training = 0;
  int validating = 0;
  void after_loss(FitState& state) override { ++(state.training ? training : validating); }
};

bool same(const HostParameters& a, const HostParameters& b) {
  return a.trained == b.trained && a.statistics == b.statistics && a.counters == b.counters;
}

// All pictures alike, half of them of either class: no rate brings the loss near zero.
DataSet undecidable_data(std::size_t train) {
  DataSet data = half_data(train, 2);
  std::ranges::fill(data.train.pictures, std::uint8_t{128});
  return data;
}

// A loss that falls fastest at 10^steepest and rises from about 1.
std::vector<FinderRow> valley(double steepest, double noise = 0) {
  std::vector<FinderRow> rows;
  double rate = 1e-5;
  for (std::int64_t step = 0; step < 55; ++step, rate *= 1.3) {
    const double x = std::log10(rate);
    const double fall = 2 / (1 + std::exp(-(x - steepest) / 0.25));
    const double wave = noise * (step % 2 == 0 ? 1 : -1);
    rows.push_back({step, rate, 2.3 - fall + std::exp(4 * (x - 0.3)) + wave});
  }
  return rows;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lr_finder)

BOOST_AUTO_TEST_CASE(the_rate_of_step_k_is_start_times_gamma_to_the_k_across_epochs) {
  SmallFit small;
  const RateSearch found = search(small, undecidable_data(12), {.max_multiple = never});
  BOOST_REQUIRE(found.rows.size() == 60U);  // 10 epochs of 6 steps
  BOOST_TEST(!found.diverged);
  BOOST_CHECK_CLOSE(found.rows[0].rate, 1e-5, 1e-10);
  BOOST_CHECK_CLOSE(found.rows[10].rate, 1.37858e-4, 1e-3);
  BOOST_CHECK_CLOSE(found.rows[44].rate, 1.03159, 1e-3);
  BOOST_CHECK_CLOSE(found.rows[49].rate, 3.83022, 1e-3);
  for (std::size_t k = 0; k < 60; ++k) {
    BOOST_TEST(found.rows[k].step == static_cast<std::int64_t>(k));
    BOOST_CHECK_CLOSE(found.rows[k].rate, 1e-5 * std::pow(1.3, static_cast<double>(k)), 1e-9);
  }
}

BOOST_AUTO_TEST_CASE(a_loss_above_the_multiple_of_the_least_ends_the_search_and_is_its_last_row) {
  SmallFit small;
  small.settings.batch_size = 6;
  const RateSearch found = search(small, half_data(12, 2), {.gamma = 2, .start = 1e-4, .max_epochs = 30});
  BOOST_TEST(found.diverged);
  BOOST_REQUIRE(found.rows.size() > 2U);
  BOOST_TEST(found.rows.size() < 60U);
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < found.rows.size(); ++k) {
    least = std::min(least, found.rows[k].loss);
    BOOST_TEST((found.rows[k].loss > 3 * least) == (k + 1 == found.rows.size()));
  }
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_not_finite_ends_the_search_without_an_error) {
  SmallFit small;
  const RateSearch found = search(small, half_data(12, 2), {.gamma = 1e6, .max_multiple = 9e29, .start = 1e15});
  BOOST_TEST(found.diverged);
  BOOST_TEST(!std::isfinite(found.rows.back().loss));
  for (std::size_t k = 0; k + 1 < found.rows.size(); ++k) BOOST_TEST(std::isfinite(found.rows[k].loss));
}

BOOST_AUTO_TEST_CASE(every_validation_ends_after_its_first_batch) {
  SmallFit small;
  small.settings.valid_batch_size = 2;
  Counter counter;
  const RateSearch found = search(small, half_data(4, 8), {.max_multiple = never, .max_epochs = 7}, {&counter});
  BOOST_TEST(counter.training == 14);
  BOOST_TEST(counter.validating == 7);
  BOOST_TEST(found.rows.size() == 14U);
}

BOOST_AUTO_TEST_CASE(length_rate_and_watched_layers_of_the_settings_do_not_count) {
  SmallFit small;
  small.settings.steps = 1;
  small.settings.epochs = 1;
  small.settings.optimizer = Sgd{7, 0};
  const RateSearch found = search(small, half_data(4, 2), {.max_multiple = never, .max_epochs = 3});
  BOOST_TEST(found.rows.size() == 6U);
  BOOST_TEST(found.rows.front().rate == 1e-5);
}

BOOST_AUTO_TEST_CASE(weights_statistics_and_counters_are_afterwards_what_they_were_bit_for_bit) {
  SmallFit small(normalised_network());
  small.run(half_data(8, 2), {});  // so that statistics and counters are not those of a new network
  const HostParameters before = small.store.download();
  bool moved = false;
  struct Look : Observer {
    bool* moved;
    const HostParameters* before;
    void after_step(FitState& state) override { *moved |= !same(state.store.download(), *before); }
  } look;
  look.moved = &moved;
  look.before = &before;
  static_cast<void>(search(small, half_data(8, 2), {.start = 1e-2}, {&look}));
  BOOST_TEST(moved);
  BOOST_TEST(before.counters.at(0) == 4);
  BOOST_TEST(same(small.store.download(), before));
}

BOOST_AUTO_TEST_CASE(weights_are_put_back_when_an_observer_throws) {
  SmallFit small;
  const HostParameters before = small.store.download();
  struct Fail : Observer {
    void after_batch(FitState& state) override {
      if (state.step == 3) throw Error("stop");
    }
  } fail;
  BOOST_CHECK_THROW(static_cast<void>(search(small, half_data(8, 2), {.start = 1e-2}, {&fail})), Error);
  BOOST_TEST(same(small.store.download(), before));
}

BOOST_AUTO_TEST_CASE(it_works_for_every_optimizer) {
  for (const std::string_view rule : optimizer_names()) {
    SmallFit small(normalised_network());
    small.settings.optimizer = make_optimizer(rule);
    small.settings.batch_size = 32;
    const RateSearch found = search(small, half_data(96, 2), {.max_epochs = 40});
    const std::string what(rule);
    BOOST_REQUIRE_MESSAGE(found.answer.suggestion.has_value(), what + ": " + found.answer.reason);
    BOOST_TEST(*found.answer.suggestion > 1e-5, what);
    BOOST_TEST(*found.answer.suggestion < found.rows.back().rate, what);
    BOOST_TEST(*found.answer.suggestion <= *found.answer.lowest, what);
  }
}

BOOST_AUTO_TEST_CASE(smoothing_averages_neighbours_and_fewer_at_the_ends) {
  const std::vector<double> values{1, 2, 3, 4, 10};
  const std::vector<double> wanted{1.5, 2, 3, 17.0 / 3, 7};
  BOOST_TEST(smoothed(values, 3) == wanted, boost::test_tools::per_element());
  BOOST_TEST(smoothed(values, 1) == values, boost::test_tools::per_element());
  BOOST_TEST(smoothed({}, 5).empty());
}

BOOST_AUTO_TEST_CASE(the_suggestion_is_half_way_from_the_steepest_fall_to_the_lowest_loss) {
  for (const double steepest : {-4.0, -3.0, -2.0, -1.5}) {
    for (const double noise : {0.0, 0.05}) {
      const RateSuggestion answer = suggest_rate(valley(steepest, noise));
      BOOST_REQUIRE(answer.suggestion.has_value());
      BOOST_TEST(std::abs(std::log10(*answer.steepest) - steepest) < 0.25);  // two steps of a factor 1.3
      BOOST_TEST(*answer.lowest > *answer.steepest);
      BOOST_CHECK_CLOSE(*answer.suggestion * *answer.suggestion, *answer.steepest * *answer.lowest, 1e-9);
    }
  }
}

BOOST_AUTO_TEST_CASE(rows_that_are_not_finite_are_left_out) {
  std::vector<FinderRow> rows = valley(-3);
  const RateSuggestion before = suggest_rate(rows);
  const auto middle = std::ranges::find(rows, *before.lowest, &FinderRow::rate);
  BOOST_REQUIRE(middle != rows.end());
  rows.insert(middle, {0, *before.lowest, std::numeric_limits<double>::quiet_NaN()});
  rows.push_back({56, 30, std::numeric_limits<double>::infinity()});
  BOOST_TEST(*suggest_rate(rows).suggestion == *before.suggestion);
  BOOST_TEST(*suggest_rate(rows).lowest == *before.lowest);
}

BOOST_AUTO_TEST_CASE(a_curve_that_says_nothing_gives_no_suggestion_but_a_reason) {
  std::vector<FinderRow> flat = valley(-3);
  for (FinderRow& row : flat) row.loss = 2.3;
  std::vector<FinderRow> rising = valley(-3);
  for (FinderRow& row : rising) row.loss = 2 + row.rate;
  std::vector<FinderRow> few = valley(-3);
  few.resize(9);
  for (const auto& rows : {flat, rising, few, std::vector<FinderRow>{}}) {
    const RateSuggestion answer = suggest_rate(rows);
    BOOST_TEST(!answer.suggestion.has_value());
    BOOST_TEST(answer.reason.starts_with("no suggestion"), answer.reason);
  }
}

BOOST_AUTO_TEST_CASE(a_curve_that_still_falls_at_its_end_says_so) {
  std::vector<FinderRow> rows = valley(-3);
  rows.resize(25);
  const RateSuggestion answer = suggest_rate(rows);
  BOOST_TEST(answer.suggestion.has_value());
  BOOST_TEST(answer.reason.find("still fell") != std::string::npos, answer.reason);
}

BOOST_AUTO_TEST_CASE(settings_out_of_range_are_refused) {
  for (const FinderSettings& finder :
       {FinderSettings{1}, FinderSettings{1.3, 1}, FinderSettings{1.3, 3, 0}, FinderSettings{1.3, 3, 1e-5, 0},
        FinderSettings{std::numeric_limits<double>::quiet_NaN()}}) {
    BOOST_CHECK_THROW(check_finder(finder), Error);
  }
}

BOOST_AUTO_TEST_SUITE_END()
