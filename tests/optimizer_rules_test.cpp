// Every optimizer against vectors worked out in double precision, and the functions around the rules.
#include "descent/error.h"
#include "descent/optimizer.h"
#include "descent/parameters.h"

#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <utility>

using namespace descent;

namespace {

using Vector = std::array<double, 3>;

constexpr Vector start{1, -2, 0.5};
constexpr std::array<Vector, 4> gradients{Vector{.1, -.2, 0}, Vector{.3, .1, -.001}, Vector{-.2, .05, .002},
                                          Vector{.05, .4, 1e-6}};

// The frame of a device's update, one number at a time.
template <class Rule>
Vector run_rule(const Rule& rule, std::size_t steps, Decay decay) {
  Vector weights = start;
  std::array<std::array<double, Rule::slots>, 3> states{};
  for (std::size_t step = 0; step < steps; ++step) {
    const typename Rule::template Step<double> update(
        rule, UpdateMoment{rule.learning_rate, static_cast<std::int64_t>(step + 1)});
    for (std::size_t i = 0; i < weights.size(); ++i) {
      double gradient = gradients[step][i];
      if (decay == Decay::l2) gradient += rule.weight_decay * weights[i];
      if (decay == Decay::decoupled) weights[i] *= 1 - rule.learning_rate * rule.weight_decay;
      weights[i] -= update(gradient, states[i]);
    }
  }
  return weights;
}

Vector run(const Optimizer& optimizer, std::size_t steps, Decay decay) {
  return std::visit([&](const auto& rule) { return run_rule(rule, steps, decay); }, optimizer);
}

struct Case {
  std::string name;
  std::vector<std::pair<std::string, double>> options;
  // As printed: numbers are compared to half a unit of their last digit.
  std::string after1;
  std::string after2;
  std::string after4;
  Decay decay = Decay::decoupled;
};

const std::vector<Case> cases{
    {"sgd", {{"learning_rate", .4}}, "0.96 -1.92 0.5", "0.84 -1.96 0.5004", "0.9 -2.14 0.4995996"},
    {"sgd",
     {{"learning_rate", .4}, {"weight_decay", .1}},
     "0.92 -1.84 0.48",
     "0.7632 -1.8064 0.4612",
     "0.76016512 -1.84397824 0.42427352"},
    {"sgd",
     {{"learning_rate", .4}, {"weight_decay", .1}},
     "0.92 -1.84 0.48",
     "0.7632 -1.8064 0.4612",
     "0.76016512 -1.84397824 0.42427352",
     Decay::l2},
    {"momentum",
     {{"learning_rate", 1.5}},
     "0.985 -1.97 0.5",
     "0.9265 -1.958 0.50015",
     "0.875965 -2.01173 0.49983635"},
    {"heavy-ball",
     {{"learning_rate", .15}},
     "0.985 -1.97 0.5",
     "0.9265 -1.958 0.50015",
     "0.875965 -2.01173 0.49983635"},
    {"nesterov",
     {{"learning_rate", .15}},
     "0.9715 -1.943 0.5",
     "0.87385 -1.9472 0.500285",
     "0.8508685 -2.063057 0.499702565"},
    {"rmsprop",
     {{"learning_rate", 3e-3}},
     "0.9970003 -1.99700015 0.5",
     "0.988340879 -1.99850573 0.527272727",
     "0.992607677 -2.00522207 0.501551006"},
    {"rmsprop",
     {{"learning_rate", 3e-3}, {"weight_decay", .1}},
     "0.9967003 -1.99640015 0.49985",
     "0.987741869 -1.99730681 0.526972772",
     "0.991414402 -2.00282472 0.500942628"},
    {"adam",
     {{"learning_rate", 6e-3}},
     "0.9940006 -1.9940003 0.5",
     "0.988504094 -1.9924002 0.504392791",
     "0.985237696 -1.99489654 0.500997748"},
    {"adam-inside",
     {{"learning_rate", 6e-3}},
     "0.994002998 -1.99400075 0.5",
     "0.988506794 -1.99240087 0.500974431",
     "0.985240641 -1.99489714 0.49974642"},
    {"adam",
     {{"learning_rate", 6e-3}, {"weight_decay", .1}},
     "0.9934006 -1.9928003 0.4997",
     "0.987308054 -1.99000452 0.503792971",
     "0.982858169 -1.99011379 0.499794677"},
    {"adam",
     {{"learning_rate", 6e-3}, {"weight_decay", .1}},
     "",
     "",
     "0.980869029 -1.98186191 0.476014102",
     Decay::l2},
    {"adam2",
     {{"learning_rate", 6e-3}, {"beta2", .9}, {"eps", 1e-8}},
     "0.994000001 -1.994 0.5",
     "0.988000001 -1.99228571 0.505999886",
     "0.984312487 -1.99524428 0.501446787"},
    {"adam2",
     {{"learning_rate", 6e-3}, {"beta2", .99}, {"eps", 1e-5}},
     "0.9940006 -1.9940003 0.5",
     "0.987858445 -1.99231338 0.506161595",
     "0.984189997 -1.9954186 0.501495584"},
    {"adamw",
     {{"learning_rate", 2e-2}},
     "0.979800002 -1.9796 0.4999",
     "0.96124842 -1.97387734 0.514682546",
     "0.949978228 -1.98144949 0.50303824"},
};

// The printed vectors have nine significant digits; one that shows fewer is exact to that many.
void check_vector(const Vector& got, const std::string& printed, const std::string& what) {
  std::istringstream words(printed);
  std::string word;
  for (const double value : got) {
    BOOST_REQUIRE(words >> word);
    const double wanted = std::stod(word);
    const double unit = std::pow(10.0, std::floor(std::log10(std::abs(wanted))) - 8);
    BOOST_TEST(std::abs(value - wanted) <= 0.51 * unit,
               what << ": " << value << " instead of " << word << ", off by " << value - wanted);
  }
}

Optimizer with_options(const Case& row) {
  Optimizer optimizer = make_optimizer(row.name);
  for (const auto& [option, value] : row.options) set_option(optimizer, option, value);
  return optimizer;
}

double option_value(const Optimizer& optimizer, std::string_view wanted) {
  for (const OptimizerOption& option : options(optimizer)) {
    if (option.name == wanted) return option.value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    BOOST_TEST(error.exit_code() == 2);
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// Three tensors of 5, 3 and 2 elements at multiples of 16.
ParameterLayout small_layout() {
  ParameterLayout layout;
  layout.trained = {{"0.weight", 0, Shape{5}, 0}, {"0.bias", 0, Shape{3}, 16}, {"1.weight", 1, Shape{2}, 32}};
  layout.trained_elements = 48;
  return layout;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizer_rules)

BOOST_AUTO_TEST_CASE(every_rule_follows_its_worked_vectors_to_the_printed_digits) {
  for (const Case& row : cases) {
    const Optimizer optimizer = with_options(row);
    const std::string what = row.name + (row.decay == Decay::l2 ? " with L2" : "");
    if (!row.after1.empty()) check_vector(run(optimizer, 1, row.decay), row.after1, what + " after 1");
    if (!row.after2.empty()) check_vector(run(optimizer, 2, row.decay), row.after2, what + " after 2");
    check_vector(run(optimizer, 4, row.decay), row.after4, what + " after 4");
  }
}

BOOST_AUTO_TEST_CASE(every_rule_has_a_worked_vector) {
  for (const std::string_view wanted : optimizer_names()) {
    BOOST_TEST(std::ranges::any_of(cases, [&](const Case& row) { return row.name == wanted; }), wanted);
  }
}

BOOST_AUTO_TEST_CASE(names_are_the_contract_in_order) {
  const std::vector<std::string_view> wanted{"sgd",  "momentum",    "heavy-ball", "nesterov", "rmsprop",
                                             "adam", "adam-inside", "adam2",      "adamw"};
  BOOST_TEST(optimizer_names() == wanted, boost::test_tools::per_element());
  for (const std::string_view one : wanted) {
    const Optimizer made = make_optimizer(one);
    BOOST_TEST(name(made) == one);
    BOOST_TEST(!summary(made).empty());
  }
}

BOOST_AUTO_TEST_CASE(defaults_are_those_of_the_seed_runs) {
  struct Default {
    std::string_view optimizer, option;
    double value;
  };
  const std::vector<Default> defaults{{"sgd", "learning_rate", .4},
                                      {"sgd", "weight_decay", 0},
                                      {"momentum", "learning_rate", 1.5},
                                      {"momentum", "momentum", .9},
                                      {"heavy-ball", "learning_rate", .15},
                                      {"heavy-ball", "momentum", .9},
                                      {"nesterov", "learning_rate", .15},
                                      {"nesterov", "momentum", .9},
                                      {"rmsprop", "learning_rate", 3e-3},
                                      {"rmsprop", "beta2", .99},
                                      {"rmsprop", "eps", 1e-5},
                                      {"adam", "learning_rate", 6e-3},
                                      {"adam", "beta1", .9},
                                      {"adam", "beta2", .99},
                                      {"adam", "eps", 1e-5},
                                      {"adam", "weight_decay", 0},
                                      {"adam-inside", "learning_rate", 6e-3},
                                      {"adam-inside", "eps", 1e-5},
                                      {"adam2", "learning_rate", 6e-3},
                                      {"adam2", "beta1", .9},
                                      {"adam2", "beta2", .9},
                                      {"adam2", "eps", 1e-8},
                                      {"adamw", "learning_rate", 2e-2},
                                      {"adamw", "weight_decay", .01},
                                      {"adamw", "beta2", .999},
                                      {"adamw", "eps", 1e-8}};
  for (const Default& row : defaults) {
    BOOST_TEST(option_value(make_optimizer(row.optimizer), row.option) == row.value,
               row.optimizer << " " << row.option);
  }
}

BOOST_AUTO_TEST_CASE(an_unknown_optimizer_is_refused_with_the_nearest_name) {
  BOOST_TEST(contains(message_of([] { (void)make_optimizer("adm"); }), "'adam'"));
  BOOST_TEST(contains(message_of([] { (void)make_optimizer("Nesterow"); }), "'nesterov'"));
}

BOOST_AUTO_TEST_CASE(an_option_that_the_rule_does_not_have_is_refused) {
  Optimizer sgd = make_optimizer("sgd");
  const std::string message = message_of([&] { set_option(sgd, "momentum", .9); });
  BOOST_TEST(contains(message, "sgd"));
  BOOST_TEST(contains(message, "momentum"));
  Optimizer adam = make_optimizer("adam");
  BOOST_TEST(contains(message_of([&] { set_option(adam, "beta3", .9); }), "did you mean 'beta"));
}

BOOST_AUTO_TEST_CASE(a_value_outside_the_limits_is_refused_and_changes_nothing) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  struct Bad {
    std::string_view option;
    double value;
  };
  for (const Bad& bad :
       {Bad{"beta1", 1}, Bad{"beta1", -.1}, Bad{"beta2", 1.5}, Bad{"eps", -1e-9}, Bad{"learning_rate", -1},
        Bad{"learning_rate", nan}, Bad{"learning_rate", infinity}, Bad{"weight_decay", -1}}) {
    Optimizer adam = make_optimizer("adam");
    const double before = option_value(adam, bad.option);
    BOOST_TEST(contains(message_of([&] { set_option(adam, bad.option, bad.value); }), bad.option));
    BOOST_TEST(option_value(adam, bad.option) == before);
  }
  Optimizer adam = make_optimizer("adam");
  set_option(adam, "beta1", 0);  // the low limit itself is allowed
  BOOST_TEST(option_value(adam, "beta1") == 0);
}

BOOST_AUTO_TEST_CASE(without_groups_one_range_covers_the_buffer) {
  const auto ranges = update_ranges(small_layout(), {});
  BOOST_REQUIRE(ranges.size() == 1);
  BOOST_TEST(ranges[0].begin == 0);
  BOOST_TEST(ranges[0].end == 48);
  BOOST_TEST(ranges[0].rate_factor == 1);
}

BOOST_AUTO_TEST_CASE(groups_cut_the_buffer_and_the_first_match_wins) {
  const std::vector<ParameterGroup> groups{{"*.bias", 1, 0}, {"0.*", 0.5, 1}};
  const auto ranges = update_ranges(small_layout(), groups);
  BOOST_REQUIRE(ranges.size() == 3);
  BOOST_TEST(ranges[0].begin == 0);
  BOOST_TEST(ranges[0].end == 16);
  BOOST_TEST(ranges[0].rate_factor == 0.5);
  BOOST_TEST(ranges[1].begin == 16);
  BOOST_TEST(ranges[1].end == 32);
  BOOST_TEST(ranges[1].weight_decay_factor == 0);
  BOOST_TEST(ranges[1].rate_factor == 1);
  BOOST_TEST(ranges[2].begin == 32);
  BOOST_TEST(ranges[2].end == 48);
  BOOST_TEST(ranges[2].weight_decay_factor == 1);
}

BOOST_AUTO_TEST_CASE(neighbours_of_one_group_become_one_range) {
  const std::vector<ParameterGroup> groups{{"0.*", 0, 1}};
  const auto ranges = update_ranges(small_layout(), groups);
  BOOST_REQUIRE(ranges.size() == 2);
  BOOST_TEST(ranges[0].end == 32);
  BOOST_TEST(ranges[0].rate_factor == 0);
}

BOOST_AUTO_TEST_CASE(a_group_that_matches_nothing_or_has_a_bad_factor_is_refused) {
  const std::vector<ParameterGroup> nothing{{"layer9.*", 1, 0}};
  BOOST_TEST(contains(message_of([&] { (void)update_ranges(small_layout(), nothing); }), "'layer9.*'"));
  const std::vector<ParameterGroup> negative{{"*", -1, 1}};
  BOOST_TEST(contains(message_of([&] { (void)update_ranges(small_layout(), negative); }), "-1"));
}

BOOST_AUTO_TEST_SUITE_END()
