// The demonstrations' numbers, and the verb that prints them.
#include "demo/demos.h"
#include "program.h"

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

using namespace descent;
using namespace descent::demo;

namespace {

void check_near(double got, double wanted, double tolerance) {
  BOOST_TEST(std::abs(got - wanted) <= tolerance, got << " is not " << wanted);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(demonstrations)

BOOST_AUTO_TEST_CASE(a_weighted_average_starts_at_zero_without_correction) {
  const std::vector<double> values{1, 1, 1, 1, -1};
  const std::array half{.5, .75, .875, .9375, -.03125};
  const std::array late{.1, .19, .271, .3439, .20951};
  for (std::size_t i = 0; i < values.size(); ++i) {
    check_near(weighted_average(values, .5)[i], half.at(i), 1e-15);
    check_near(weighted_average(values, .9)[i], late.at(i), 1e-15);
  }
}

BOOST_AUTO_TEST_CASE(the_parabola_has_100_points_with_noise_of_a_tenth) {
  const Points points = noisy_parabola(42);
  BOOST_REQUIRE(points.x.size() == 100U);
  BOOST_REQUIRE(points.y.size() == 100U);
  BOOST_TEST(points.x.front() == -4);
  BOOST_TEST(points.x.back() == 4);
  double squares = 0;
  for (std::size_t i = 0; i < 100; ++i) {
    squares += std::pow(points.y[i] - 1 + std::pow(points.x[i] / 3, 2), 2);
  }
  const double deviation = std::sqrt(squares / 100);
  BOOST_TEST(deviation > 0.08);
  BOOST_TEST(deviation < 0.12);
  BOOST_CHECK(noisy_parabola(42).y == points.y);
  BOOST_CHECK(noisy_parabola(43).y != points.y);
}

BOOST_AUTO_TEST_CASE(without_memory_a_step_is_the_gradients_sign) {
  const std::vector<SignRow> rows = sign_rows(50);
  const std::array signs{-1.0, -1.0, -1.0, 1.0, 1.0, 1.0};
  BOOST_REQUIRE(rows.size() == signs.size());
  for (std::size_t i = 0; i < signs.size(); ++i) {
    BOOST_TEST(rows[i].gradient == sign_gradients.at(i));
    check_near(rows[i].memoryless, signs.at(i), 1e-15);
    // 1e-5 beside a gradient of 0.01
    check_near(rows[i].first_rmsprop, signs.at(i), 1.1e-3);
    check_near(rows[i].first_adam, signs.at(i), 1.1e-3);
  }
}

BOOST_AUTO_TEST_CASE(with_memory_a_step_measures_the_gradient_against_those_before) {
  const std::vector<SignRow> rows = sign_rows(50);
  check_near(rows.back().later_rmsprop, 100 / (std::sqrt(.99 + .01 * 1e4) + 1e-5), 1e-9);
  check_near(rows.at(3).later_rmsprop, .01 / (std::sqrt(.99 + .01 * 1e-4) + 1e-5), 1e-12);
  check_near(rows.at(4).later_adam, 1 / (1 + 1e-5), 1e-9);
  BOOST_TEST(rows.front().later_adam < 0);
  BOOST_TEST(rows.at(1).later_adam > 0);  // one gradient of -1 does not turn the average of fifty of 1
}

BOOST_AUTO_TEST_CASE(every_optimizer_goes_down_the_valley) {
  const std::vector<Path> paths = valley_paths(60);
  BOOST_REQUIRE(paths.size() == optimizer_names().size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    BOOST_TEST(paths[i].optimizer == optimizer_names()[i]);
    BOOST_REQUIRE(paths[i].places.size() == 61U);
    BOOST_TEST(valley(paths[i].places.front()) == 9.45);
    BOOST_TEST(valley(paths[i].places.back()) < 0.1, paths[i].optimizer);
  }
}

BOOST_AUTO_TEST_CASE(plain_descent_follows_its_closed_form) {
  // x ← x·(1 − 0.4/10), y ← y·(1 − 0.4·2)
  const Path path = valley_paths(10).front();
  BOOST_TEST(path.optimizer == "sgd");
  check_near(path.places.at(10).x, -8 * std::pow(.96, 10), 1e-12);
  check_near(path.places.at(10).y, 2.5 * std::pow(.2, 10), 1e-12);
}

BOOST_AUTO_TEST_CASE(momentum_and_heavy_ball_take_one_path_at_rates_that_correspond) {
  const std::vector<Path> paths = valley_paths(40);
  for (std::size_t step = 0; step <= 40; ++step) {
    check_near(paths.at(1).places[step].x, paths.at(2).places[step].x, 1e-9);
    check_near(paths.at(1).places[step].y, paths.at(2).places[step].y, 1e-9);
  }
}

BOOST_AUTO_TEST_CASE(annealing_brings_every_line_to_rest_at_the_least_squares) {
  const Points points = line_points(42);
  double sx = 0;
  double sy = 0;
  double sxx = 0;
  double sxy = 0;
  for (std::size_t i = 0; i < points.x.size(); ++i) {
    sx += points.x[i];
    sy += points.y[i];
    sxx += points.x[i] * points.x[i];
    sxy += points.x[i] * points.y[i];
  }
  const auto n = static_cast<double>(points.x.size());
  const double slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
  const double intercept = (sy - slope * sx) / n;
  const std::vector<LineFit> annealed = line_fits(points, 10, true);
  const std::vector<LineFit> constant = line_fits(points, 10, false);
  for (std::size_t i = 0; i < annealed.size(); ++i) {
    check_near(annealed[i].slope, slope, 0.01);
    check_near(annealed[i].intercept, intercept, 0.01);
    BOOST_TEST(annealed[i].errors.size() == 300U);
    BOOST_TEST(annealed[i].errors.back() < constant[i].errors.back(), annealed[i].optimizer);
  }
}

BOOST_AUTO_TEST_CASE(decay_and_l2_agree_for_plain_descent_and_not_for_adam) {
  const std::vector<DecayRow> rows = decay_rows();
  BOOST_REQUIRE(rows.size() == 4U);
  const std::array<std::array<double, 3>, 4> wanted{{{0.76016512, -1.84397824, 0.42427352},
                                                     {0.76016512, -1.84397824, 0.42427352},
                                                     {0.982858169, -1.99011379, 0.499794677},
                                                     {0.980869029, -1.98186191, 0.476014102}}};
  for (std::size_t row = 0; row < 4; ++row) {
    BOOST_TEST(rows[row].optimizer == (row < 2 ? "sgd" : "adam"));
    BOOST_CHECK(rows[row].decay == (row % 2 == 0 ? Decay::decoupled : Decay::l2));
    for (std::size_t i = 0; i < 3; ++i) check_near(rows[row].weights.at(i), wanted.at(row).at(i), 6e-9);
  }
}

BOOST_AUTO_TEST_CASE(l2_under_adam_spares_weights_of_large_gradients) {
  const std::vector<DecayCurve> curves = decay_curves(400, 42);
  BOOST_REQUIRE(curves.size() == 4U);
  for (const DecayCurve& curve : curves) BOOST_REQUIRE(curve.large.size() == 401U);
  check_near(curves[0].large.back(), curves[1].large.back(), 1e-12);  // plain descent: one formula
  check_near(curves[2].large.back(), curves[2].small.back(), 0.01);
  BOOST_TEST(curves[3].small.back() < 0.1 * curves[3].large.back());
}

BOOST_AUTO_TEST_CASE(each_demonstration_prints_its_numbers_and_writes_a_picture) {
  const TemporaryFolder folder;
  const std::vector<std::pair<std::string, std::string>> shown{{"ewa", "0.20951"},
                                                               {"signs", "g/√g²"},
                                                               {"optimizers", "nesterov"},
                                                               {"schedules", "0.0485258 (0.8691)"},
                                                               {"decay", "0.476014102"}};
  for (const auto& [what, number] : shown) {
    const std::string file = (folder / (what + ".html")).string();
    const ProgramResult result = run_program({"demo", what, "--out", file});
    BOOST_TEST(result.code == 0, result.err);
    BOOST_TEST(result.out.find(number) != std::string::npos, result.out);
    const std::string page = read_text(file);
    BOOST_TEST(page.starts_with("<!DOCTYPE html>"));
    BOOST_TEST(page.find("\"kind\":\"chart\"") != std::string::npos, what);
  }
}

BOOST_AUTO_TEST_CASE(an_unknown_demonstration_comes_with_the_nearest_name) {
  const ProgramResult result = run_program({"demo", "optimisers"});
  BOOST_TEST(result.code == 2);
  BOOST_TEST(result.err.find("'optimizers'") != std::string::npos, result.err);
}

BOOST_AUTO_TEST_SUITE_END()
