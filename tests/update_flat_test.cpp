// The CPU's optimizer pass itself: blocks, ranges and threads; the formulas are tested for every device.
#include "cpu/update.h"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

namespace descent::test {
namespace {

// Buffers with numbers of all sizes.
struct Flat {
  std::vector<float> values, gradients, state;

  Flat(std::size_t count, std::size_t slots) : values(count), gradients(count), state(slots * count) {
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = std::sin(static_cast<float>(i) * 0.37F);
      gradients[i] = std::cos(static_cast<float>(i) * 0.11F) * std::exp2(static_cast<float>(i % 9) - 5);
    }
    for (std::size_t i = 0; i < state.size(); ++i) state[i] = 0.1F + 0.01F * static_cast<float>(i % 7);
  }
  [[nodiscard]] FlatBuffers buffers(std::int64_t step) {
    return {values.data(), gradients.data(), state.data(), values.size(), step};
  }
};

template <class Rule>
void expected_rule(const Rule& rule, Flat& flat, const UpdateRequest& request, std::int64_t step) {
  double squares = 0;
  for (const UpdateRange& range : request.ranges) {
    for (std::size_t i = range.begin; i < range.end; ++i) {
      squares += static_cast<double>(flat.gradients[i]) * static_cast<double>(flat.gradients[i]);
    }
  }
  const double norm = std::sqrt(squares);
  const double scale = request.clip_norm > 0 && norm > request.clip_norm ? request.clip_norm / norm : 1;
  for (const UpdateRange& range : request.ranges) {
    const double rate = request.learning_rate * range.rate_factor;
    const double decay = request.weight_decay * range.weight_decay_factor;
    const typename Rule::template Step<double> rule_step(rule, UpdateMoment{rate, step});
    for (std::size_t i = range.begin; i < range.end; ++i) {
      auto value = static_cast<double>(flat.values[i]);
      double gradient = static_cast<double>(flat.gradients[i]) * scale;
      if (request.decay == Decay::l2) gradient += decay * value;
      if (request.decay == Decay::decoupled) value *= 1 - rate * decay;
      std::array<double, Rule::slots> state{};
      for (std::size_t s = 0; s < Rule::slots; ++s)
        state[s] = static_cast<double>(flat.state[s * flat.values.size() + i]);
      value -= rule_step(gradient, state);
      flat.values[i] = static_cast<float>(value);
      for (std::size_t s = 0; s < Rule::slots; ++s)
        flat.state[s * flat.values.size() + i] = static_cast<float>(state[s]);
    }
  }
}

void expected_update(const Optimizer& optimizer, Flat& flat, const UpdateRequest& request, std::int64_t step) {
  std::visit([&](const auto& rule) { expected_rule(rule, flat, request, step); }, optimizer);
}

void check_near(const std::vector<float>& actual, const std::vector<float>& expected) {
  BOOST_REQUIRE_EQUAL(actual.size(), expected.size());
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (!(std::abs(actual[i] - expected[i]) <= 4e-6F * (std::abs(expected[i]) + 0.1F))) ++wrong;
  }
  BOOST_TEST(wrong == 0U);
}

const std::vector<UpdateRange> some_ranges = {
    {0, 16, 1, 1}, {16, 17, 0.5, 0}, {32, 32, 1, 1}, {48, 9999, 2, 0.5}, {10000, 22345, 0, 1}};

}  // namespace

BOOST_AUTO_TEST_SUITE(update_flat)

BOOST_AUTO_TEST_CASE(every_rule_follows_the_frame_in_double) {
  for (const std::string_view optimizer_name : optimizer_names()) {
    BOOST_TEST_CONTEXT(optimizer_name) {
      const Optimizer optimizer = make_optimizer(optimizer_name);
      for (const std::size_t count : {1UL, 15UL, 17UL, 4096UL, 4097UL, 50001UL}) {
        const std::vector<UpdateRange> whole = {{0, count, 1, 1}};
        for (const Decay decay : {Decay::decoupled, Decay::l2}) {
          for (const double clip : {0.0, 0.3}) {
            const UpdateRequest request{optimizer, whole, 0.01, 0.05, decay, clip};
            Flat actual(count, slots(optimizer));
            Flat expected = actual;
            descent::update_flat({2}, actual.buffers(3), request);
            expected_update(optimizer, expected, request, 3);
            check_near(actual.values, expected.values);
            check_near(actual.state, expected.state);
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(ranges_have_their_own_rate_and_decay_and_the_rest_stays) {
  for (const std::string_view optimizer_name : optimizer_names()) {
    BOOST_TEST_CONTEXT(optimizer_name) {
      const Optimizer optimizer = make_optimizer(optimizer_name);
      const UpdateRequest request{optimizer, some_ranges, 0.01, 0.05, Decay::decoupled, 0};
      const Flat before(22400, slots(optimizer));
      Flat actual = before;
      Flat expected = before;
      descent::update_flat({2}, actual.buffers(2), request);
      expected_update(optimizer, expected, request, 2);
      check_near(actual.values, expected.values);
      for (const std::size_t i : {17UL, 31UL, 47UL, 9999UL, 22345UL, 22399UL}) {
        BOOST_TEST(actual.values[i] == before.values[i]);
      }
      for (std::size_t i = 10000; i < 22345; ++i) BOOST_REQUIRE_EQUAL(actual.values[i], before.values[i]);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bit) {
  for (const std::string_view optimizer_name : optimizer_names()) {
    BOOST_TEST_CONTEXT(optimizer_name) {
      const Optimizer optimizer = make_optimizer(optimizer_name);
      const UpdateRequest request{optimizer, some_ranges, 0.01, 0.05, Decay::l2, 0.7};
      Flat one(22400, slots(optimizer));
      descent::update_flat({1}, one.buffers(1), request);
      for (const int threads : {2, 3, 8}) {
        Flat several(22400, slots(optimizer));
        descent::update_flat({threads}, several.buffers(1), request);
        BOOST_TEST((several.values == one.values && several.state == one.state));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_norm_is_that_of_all_ranges_to_the_digits_of_double) {
  Flat flat(3000000, 0);
  const std::vector<UpdateRange> ranges = {{0, 1000000, 1, 1}, {1000016, 2999999, 0, 1}};
  long double squares = 0;
  for (const UpdateRange& range : ranges) {
    for (std::size_t i = range.begin; i < range.end; ++i) {
      squares += static_cast<long double>(flat.gradients[i]) * static_cast<long double>(flat.gradients[i]);
    }
  }
  const auto expected = static_cast<double>(std::sqrt(squares));
  BOOST_TEST(gradient_norm({1}, flat.gradients.data(), ranges) == expected,
             boost::test_tools::tolerance(1e-13));
  BOOST_TEST(gradient_norm({1}, flat.gradients.data(), ranges) ==
             gradient_norm({7}, flat.gradients.data(), ranges));
  BOOST_TEST(gradient_norm({2}, flat.gradients.data(), {}) == 0);
}

BOOST_AUTO_TEST_CASE(a_gradient_that_is_not_a_number_is_not_hidden_by_clipping) {
  const Optimizer optimizer = make_optimizer("sgd");
  Flat flat(100, 0);
  flat.gradients[42] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<UpdateRange> ranges = {{0, 100, 1, 1}};
  descent::update_flat({2}, flat.buffers(1), {optimizer, ranges, 0.1, 0, Decay::decoupled, 1});
  BOOST_TEST(std::isnan(flat.values[42]));
  BOOST_TEST(std::isfinite(flat.values[41]));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
