// The library's way from pictures to classes.
#include "descent/predictor.h"
#include "allocations.h"
#include "compare.h"
#include "descent/error.h"
#include "descent/random.h"
#include "reference/device.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

using namespace descent;
using namespace descent::test;

namespace {

constexpr std::size_t picture_bytes = std::size_t{28} * 28;

Model make_model(std::vector<std::string> classes = {}) {
  Model model{{load_network("convnet"), std::move(classes)}, {}};
  const ParameterLayout layout = parameter_layout(model.description.network);
  model.parameters = initialise(model.description.network, layout, Initialisation::kaiming, 3);
  for (std::size_t i = 0; i < model.parameters.statistics.size(); ++i) {
    model.parameters.statistics[i] += 0.01F * static_cast<float>(i % 7);  // no two channels alike
  }
  return model;
}

std::vector<std::uint8_t> random_pictures(std::size_t count) {
  std::vector<std::uint8_t> bytes(count * picture_bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(uniform_below(RandomKey{9, Purpose::demo, 0, 0}, i, 256));
  }
  return bytes;
}

void check_close(const std::vector<float>& a, const std::vector<float>& b, double tolerance) {
  BOOST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    BOOST_TEST(std::abs(a[i] - b[i]) <= tolerance * (1 + std::abs(b[i])));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(predictor)

BOOST_AUTO_TEST_CASE(an_answer_is_the_softmax_of_its_logits_and_the_name_of_the_largest) {
  reference::ReferenceDevice device;
  const std::vector<std::string> names{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
  Predictor predictor(device, make_model(names), 2);
  for (const Prediction& answer : predictor.predict(random_pictures(3), 3)) {
    BOOST_REQUIRE(answer.logits.size() == 10U);
    const auto largest = std::ranges::max_element(answer.logits);
    BOOST_TEST(answer.index == static_cast<std::size_t>(largest - answer.logits.begin()));
    BOOST_TEST(answer.label == names[answer.index]);
    double sum = 0;
    for (const float logit : answer.logits) sum += std::exp(static_cast<double>(logit));
    for (std::size_t i = 0; i < 10; ++i) {
      BOOST_TEST(std::abs(answer.probabilities[i] - std::exp(static_cast<double>(answer.logits[i])) / sum) <
                 1e-6);
    }
  }
}

BOOST_AUTO_TEST_CASE(rows_of_probabilities_are_those_of_the_answers) {
  reference::ReferenceDevice device;
  Predictor predictor(device, make_model(), 2);
  const auto pictures = random_pictures(3);
  std::vector<float> rows(30);
  predictor.predict(pictures, 3, rows);
  const auto answers = predictor.predict(pictures, 3);
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST(std::span(rows).subspan(10 * i, 10) == answers[i].probabilities,
               boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_warm_answer_to_one_picture_allocates_nothing) {
  for (const int threads : {1, 2}) {
    const auto device = make_device("cpu", {.threads = threads, .use_plan_cache = false, .measure = false});
    Predictor predictor(*device, make_model(), 1);
    const auto picture = random_pictures(1);
    std::vector<float> row(10);
    predictor.predict(picture, 1, row);
    const std::size_t before = test::allocations();
    for (int call = 0; call < 5; ++call) predictor.predict(picture, 1, row);
    BOOST_TEST(test::allocations() == before);
    (void)predictor.predict(picture, 1);  // answers in words do
    BOOST_TEST(test::allocations() > before);
  }
}

BOOST_AUTO_TEST_CASE(without_names_a_class_is_called_by_its_index) {
  reference::ReferenceDevice device;
  Predictor predictor(device, make_model(), 1);
  const Prediction answer = predictor.predict(random_pictures(1), 1).front();
  BOOST_TEST(answer.label == std::to_string(answer.index));
}

BOOST_AUTO_TEST_CASE(the_batch_size_does_not_change_an_answer) {
  reference::ReferenceDevice device;
  const Model model = make_model();
  const auto pictures = random_pictures(7);
  Predictor one(device, model, 1);
  for (const std::int64_t batch : {2, 3, 7, 16}) {
    Predictor several(device, model, batch);
    const auto answers = several.predict(pictures, 7);
    BOOST_REQUIRE(answers.size() == 7U);
    for (std::size_t i = 0; i < 7; ++i) {
      const auto alone = one.predict(std::span(pictures).subspan(i * picture_bytes, picture_bytes), 1);
      check_close(answers[i].logits, alone.front().logits, 1e-6);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_cpu_agrees_with_the_reference) {
  const auto cpu = make_device("cpu", {.use_plan_cache = false, .measure = false});
  reference::ReferenceDevice reference;
  const Model model = make_model();
  const auto pictures = random_pictures(5);
  Predictor fast(*cpu, model, 4);
  Predictor exact(reference, model, 5);
  const auto got = fast.predict(pictures, 5);
  const auto wanted = exact.predict(pictures, 5);
  for (std::size_t i = 0; i < 5; ++i) check_close(got[i].logits, wanted[i].logits, 1e-4);
}

BOOST_AUTO_TEST_CASE(a_picture_is_made_into_the_networks_input_first) {
  reference::ReferenceDevice device;
  Predictor predictor(device, make_model(), 1);
  const auto bytes = random_pictures(1);
  const Picture grey{28, 28, 1, bytes};
  Picture inverted{28, 28, 1, bytes};
  for (std::uint8_t& byte : inverted.bytes) byte = static_cast<std::uint8_t>(255 - byte);
  check_close(predictor.predict(grey).logits, predictor.predict(bytes, 1).front().logits, 1e-7);
  check_close(predictor.predict(inverted, {.invert = true}).logits, predictor.predict(grey).logits, 1e-7);
}

// By rule, and by times that the threads take.
BOOST_AUTO_TEST_CASE(predictors_in_several_threads_share_a_device_and_a_model) {
  const Model model = make_model();
  const auto pictures = random_pictures(20);
  auto all = devices(1);
  all.push_back({"cpu, measured", make_device("cpu", {.threads = 1, .use_plan_cache = false})});
  for (const auto& [name, device] : all) {
    Predictor alone(*device, model, 4);
    const auto wanted = alone.predict(pictures, 20);

    std::vector<std::vector<Prediction>> answers(4);
    std::vector<std::thread> threads;
    for (auto& own : answers) {
      threads.emplace_back([&here = *device, &model, &pictures, &own] {
        Predictor predictor(here, model, 4);
        for (int round = 0; round < 5; ++round) own = predictor.predict(pictures, 20);
      });
    }
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST_CONTEXT(name) {
      for (const auto& own : answers) {
        BOOST_REQUIRE(own.size() == 20U);
        for (std::size_t i = 0; i < 20; ++i) BOOST_TEST((own[i].logits == wanted[i].logits));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(wrong_sizes_are_refused) {
  reference::ReferenceDevice device;
  const Model model = make_model();
  Predictor predictor(device, model, 2);
  BOOST_CHECK_THROW((void)predictor.predict(random_pictures(2), 3), Error);
  BOOST_CHECK_THROW((void)predictor.predict(random_pictures(2), ~std::size_t{0}), Error);
  BOOST_TEST(predictor.predict(std::span<const std::uint8_t>{}, 0).empty());
  std::vector<float> rows(19);
  BOOST_CHECK_THROW(predictor.predict(random_pictures(2), 2, rows), Error);
  BOOST_CHECK_THROW(Predictor(device, model, 0), Error);
  BOOST_CHECK_THROW(Predictor(device, make_model({"one", "two"}), 1), Error);
}

BOOST_AUTO_TEST_SUITE_END()
