// What is seen inside a training run: definitions, that devices agree on them, and that looking changes
// nothing.
#include "train/statistics.h"

#include "base/csv.h"
#include "compare.h"
#include "cpu/device.h"
#include "descent/error.h"
#include "descent/random.h"
#include "descent/train.h"
#include "reference/device.h"
#include "temporary_folder.h"
#include "tolerances.h"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

using namespace descent;
using descent::test::by_rule;
using descent::test::devices;
using descent::test::tolerance;

namespace {

CpuDevice make_cpu(int threads = 1) {
  return CpuDevice(by_rule(threads));
}

Summary summary_of(const std::vector<float>& values, int threads = 1) {
  CpuDevice device = make_cpu(threads);
  Summary summary;
  device.summarise({values.data(), DType::f32, values.size()}, true, summary);
  return summary;
}

std::vector<float> noise(std::size_t count, double mean, double spread) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(mean + spread * normal_pair({5, Purpose::demo, 0, 0}, i)[0]);
  }
  return values;
}

PictureSet make_pictures(std::size_t count, std::uint64_t seed) {
  PictureSet set;
  set.shape = {1, 28, 28};
  for (std::size_t i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<std::int32_t>(uniform_below({seed, Purpose::demo, 1, 0}, i, 10)));
    for (std::size_t pixel = 0; pixel < 784; ++pixel) {
      set.pictures.push_back(
          static_cast<std::uint8_t>(uniform_below({seed, Purpose::demo, 0, 0}, i * 784 + pixel, 256)));
    }
  }
  return set;
}

// What a fit of the seed network on few pictures shows, and where it ends.
struct Seen {
  std::vector<StepStatistics> steps;
  HostParameters parameters;
  std::vector<EpochMetrics> history;
};

Seen watch_fit(Device& device, const std::vector<std::string>& patterns, std::int64_t every) {
  const Network network = load_network("convnet");
  const DataSet data{"noise", std::vector<std::string>(10, "class"), make_pictures(80, 1), make_pictures(8, 2)};
  const ParameterLayout layout = parameter_layout(network);
  ParameterStore store(device, layout, true);
  store.upload(initialise(network, layout, Initialisation::pytorch, 42));
  TrainSettings settings;
  settings.optimizer = Sgd{0.1};
  settings.batch_size = 32;
  settings.watch = watched_layers(network, patterns);
  settings.watch_every = every;
  Seen seen;
  StatisticsObserver observer({[&](const StepStatistics& step) { seen.steps.push_back(step); }});
  const std::vector<Observer*> observers{&observer};
  seen.history = fit(network, store, data, settings, observers);
  seen.parameters = store.download();
  return seen;
}

const std::vector<std::string> standard{"kind:general_relu"};

void check_near(double value, double expected, double scale, double tolerated, const std::string& what) {
  BOOST_TEST(std::abs(value - expected) <= tolerated * scale,
             what << ": " << value << " and not " << expected << ", at a scale of " << scale);
}

void check_moments(const Summary& seen, const Summary& expected, double tolerated, const std::string& what) {
  BOOST_TEST(seen.count == expected.count);
  const double scale = std::sqrt(expected.norm() * expected.norm() / static_cast<double>(expected.count));
  check_near(seen.mean, expected.mean, scale, tolerated, what + ", mean");
  if (expected.count < 2) return;
  check_near(seen.standard_deviation(), expected.standard_deviation(), scale, tolerated,
             what + ", standard deviation");
}

// A value on a bin's edge may fall on either side of it.
void check_histogram(const Summary::Histogram& seen, const Summary::Histogram& expected) {
  std::int64_t apart = 0;
  for (std::size_t bin = 0; bin < seen.size(); ++bin) apart += std::abs(seen[bin] - expected[bin]);
  const std::int64_t counted = std::accumulate(expected.begin(), expected.end(), std::int64_t{0});
  BOOST_TEST(counted > 0);
  BOOST_TEST(apart * 2000 <= counted, apart << " of " << counted << " values lie in another bin");
}

void check_seen(const Seen& seen, const Seen& expected) {
  const double tolerated = tolerance(DType::f32).whole_network;
  BOOST_REQUIRE(seen.steps.size() == 6U);
  BOOST_REQUIRE(expected.steps.size() == 6U);
  for (std::size_t step = 0; step < seen.steps.size(); ++step) {
    const StepStatistics& mine = seen.steps[step];
    const StepStatistics& truth = expected.steps[step];
    BOOST_TEST_CONTEXT("step " << step) {
      BOOST_TEST(mine.step == static_cast<std::int64_t>(step));
      BOOST_REQUIRE(mine.layers.size() == 5U);
      check_near(mine.gradient_norm, truth.gradient_norm, truth.gradient_norm, 10 * tolerated, "gradient norm");
      for (std::size_t i = 0; i < 5; ++i) {
        BOOST_REQUIRE(mine.layers[i].output.has_value() == (i < 4));
        check_moments(*mine.layers[i].gradient, *truth.layers[i].gradient, 10 * tolerated, "gradient");
        if (i == 4) continue;
        check_moments(*mine.layers[i].output, *truth.layers[i].output, 10 * tolerated, "output");
        check_histogram(mine.layers[i].output->histogram, truth.layers[i].output->histogram);
      }
      BOOST_REQUIRE(mine.parameters.size() == 18U);
      for (std::size_t i = 0; i < mine.parameters.size(); ++i) {
        BOOST_TEST(mine.parameters[i].name == truth.parameters[i].name);
        check_moments(mine.parameters[i].value, truth.parameters[i].value, 10 * tolerated,
                      mine.parameters[i].name);
      }
      // A convolution's bias before a batch norm has no gradient but rounding: weights alone are compared.
      for (const std::size_t i : {0U, 4U, 8U, 12U, 16U}) {
        check_moments(mine.parameters[i].update, truth.parameters[i].update, 100 * tolerated,
                      "update of " + mine.parameters[i].name);
        check_near(mine.parameters[i].update_ratio(), truth.parameters[i].update_ratio(),
                   truth.parameters[i].update_ratio(), 100 * tolerated, "ratio");
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(statistics)

BOOST_AUTO_TEST_CASE(the_histogram_counts_absolute_values_up_to_ten) {
  const Summary summary = summary_of({0, .1F, .25F, .3F, 9.99F, 10, 10.5F, -.2F});
  BOOST_TEST(summary.histogram[0] == 3);
  BOOST_TEST(summary.histogram[1] == 2);
  BOOST_TEST(summary.histogram[39] == 2);
  BOOST_TEST(std::accumulate(summary.histogram.begin(), summary.histogram.end(), std::int64_t{0}) == 7);
  BOOST_TEST(dead_share(summary.histogram) == 3.0 / 7);
  BOOST_CHECK_CLOSE(color_column(summary.histogram)[0], 1.386294361119891, 1e-12);
  BOOST_TEST(color_column(summary.histogram)[2] == 0);
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_are_not_counted) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const Summary summary = summary_of({nan, infinity, -infinity, -9.75F, 1});
  BOOST_TEST(std::accumulate(summary.histogram.begin(), summary.histogram.end(), std::int64_t{0}) == 2);
  BOOST_TEST(summary.histogram[39] == 1);
  BOOST_TEST(summary.histogram[4] == 1);
  BOOST_TEST(dead_share(Summary::Histogram{}) == 0);
}

BOOST_AUTO_TEST_CASE(the_standard_deviation_divides_by_one_less) {
  const Summary summary = summary_of({1, 2, 3, 4});
  BOOST_TEST(summary.mean == 2.5);
  BOOST_CHECK_CLOSE(summary.standard_deviation(), std::sqrt(5.0 / 3), 1e-12);
  BOOST_CHECK_CLOSE(summary.norm(), std::sqrt(30.0), 1e-12);
  BOOST_TEST(std::isnan(summary_of({1}).standard_deviation()));
}

BOOST_AUTO_TEST_CASE(a_mean_far_from_zero_costs_no_digits) {
  const std::vector<float> values = noise(100'003, 1000, 1e-2);
  reference::ReferenceDevice reference;
  const std::vector<double> exact(values.begin(), values.end());
  Summary expected;
  reference.summarise({exact.data(), DType::f64, exact.size()}, false, expected);
  const Summary summary = summary_of(values);
  BOOST_CHECK_CLOSE(summary.mean, expected.mean, 1e-11);
  BOOST_CHECK_CLOSE(summary.standard_deviation(), expected.standard_deviation(), 1e-7);
}

BOOST_AUTO_TEST_CASE(every_length_and_number_of_threads_gives_the_same_summary) {
  reference::ReferenceDevice reference;
  for (const std::size_t count : {1U, 15U, 16U, 17U, 2047U, 2048U, 2049U, 131'071U, 300'001U}) {
    const std::vector<float> values = noise(count, 0.3, 3);
    const std::vector<double> exact(values.begin(), values.end());
    Summary expected;
    reference.summarise({exact.data(), DType::f64, count}, true, expected);
    const Summary one = summary_of(values, 1);
    const Summary three = summary_of(values, 3);
    check_moments(one, expected, 1e-12, std::to_string(count) + " values");
    BOOST_TEST((one.histogram == expected.histogram));
    BOOST_TEST(one.mean == three.mean);
    BOOST_TEST(one.squared_deviations == three.squared_deviations);
    BOOST_TEST((one.histogram == three.histogram));
  }
}

BOOST_AUTO_TEST_CASE(differences_are_summarised_without_being_stored) {
  CpuDevice device = make_cpu();
  const std::vector<float> after = noise(5000, 0, 1);
  std::vector<float> before = after;
  for (std::size_t i = 0; i < before.size(); ++i) before[i] -= i % 2 == 0 ? 0.5F : 0.25F;
  Summary summary;
  device.summarise({after.data(), DType::f32, after.size(), before.data()}, false, summary);
  BOOST_CHECK_CLOSE(summary.mean, 0.375, 1e-4);
  BOOST_CHECK_CLOSE(summary.standard_deviation(), 0.125, 1e-1);
}

BOOST_AUTO_TEST_CASE(a_run_shows_what_the_reference_shows) {
  reference::ReferenceDevice reference;
  const Seen expected = watch_fit(reference, standard, 1);
  for (const auto& [name, device] : devices()) {
    BOOST_TEST_CONTEXT(name) {
      check_seen(watch_fit(*device, standard, 1), expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_gradients_of_logits_have_no_mean) {
  CpuDevice cpu = make_cpu();
  for (const StepStatistics& step : watch_fit(cpu, standard, 1).steps) {
    const Summary& logits = *step.layers.back().gradient;
    BOOST_TEST(std::abs(logits.mean) < 1e-6 * logits.standard_deviation());
  }
}

BOOST_AUTO_TEST_CASE(looking_changes_nothing) {
  for (const auto& [name, device] : devices()) {
    BOOST_TEST_CONTEXT(name) {
      const Seen unwatched = watch_fit(*device, {"none"}, 1);
      BOOST_TEST(unwatched.steps.empty());
      for (const std::int64_t every : {1, 2}) {
        const Seen watched = watch_fit(*device, {"*"}, every);
        BOOST_TEST((watched.parameters.trained == unwatched.parameters.trained));
        BOOST_TEST((watched.parameters.statistics == unwatched.parameters.statistics));
        BOOST_TEST(watched.history.back().valid.loss == unwatched.history.back().valid.loss);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_nth_step_is_watched_from_the_first_on) {
  CpuDevice cpu = make_cpu();
  std::vector<std::int64_t> steps;
  for (const StepStatistics& step : watch_fit(cpu, standard, 4).steps) steps.push_back(step.step);
  BOOST_TEST(steps == (std::vector<std::int64_t>{0, 4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(layers_are_watched_by_name_and_by_kind) {
  const Network network = load_network("convnet");
  const auto names = [&](const std::vector<std::string>& patterns) {
    std::string text;
    for (const WatchedLayer& watched : watched_layers(network, patterns)) {
      text += network.layers[watched.layer].name + (watched.output ? "" : "'") + " ";
    }
    return text;
  };
  BOOST_TEST(names({"kind:general_relu"}) == "0.2 1.2 2.2 3.2 4.0' ");
  BOOST_TEST(names({"*.2"}) == "0.2 1.2 2.2 3.2 4.0' ");
  BOOST_TEST(names({"0.0", "4.0"}) == "0.0 0.2' 1.2' 2.2' 3.2' 4.0 ");
  BOOST_TEST(names({"kind:batch_norm"}) == "0.1 0.2' 1.1 1.2' 2.1 2.2' 3.1 3.2' 4.0' ");
  BOOST_TEST(names({"none"}).empty());
  BOOST_TEST(names({}).empty());
}

BOOST_AUTO_TEST_CASE(a_pattern_that_matches_no_layer_is_refused_with_the_nearest_name) {
  const Network network = load_network("resnet18");
  const auto refused = [&](const std::string& pattern, const std::string& part) {
    BOOST_CHECK_EXCEPTION(watched_layers(network, {pattern}), Error, [&](const Error& error) {
      return std::string(error.what()).find(part) != std::string::npos;
    });
  };
  refused("layer1.0.bn3", "did you mean 'layer1.0.bn");
  refused("kind:batchnorm", "did you mean 'batch_norm'");
}

BOOST_AUTO_TEST_CASE(the_files_hold_a_row_for_each_watched_layer_and_parameter) {
  TemporaryFolder folder;
  const Network network = load_network("convnet");
  {
    StatisticsFiles files(folder.path(), network);
    StepStatistics step;
    step.step = 7;
    Summary summary = summary_of({1, 2, 3, 4});
    step.layers.push_back({2, summary, {}});
    step.layers.push_back({12, {}, summary});
    Summary one = summary_of({0});
    step.parameters.push_back({"0.0.bias", one, one});
    step.gradient_norm = 0.5;
    files.write(step);
  }
  BOOST_TEST(read_text(folder / "layers.csv") ==
             "step,layer,output_mean,output_std,gradient_mean,gradient_std\n"
             "7,0.2,2.5,1.29099445,,\n7,4.0,,,2.5,1.29099445\n");
  BOOST_TEST(read_text(folder / "parameters.csv") ==
             "step,parameter,mean,std,update_mean,update_std,update_ratio\n7,0.0.bias,0,,0,,\n");
  BOOST_TEST(read_text(folder / "gradients.csv") == "step,norm\n7,0.5\n");
  const std::string histograms = read_text(folder / "histograms.csv");
  BOOST_TEST(histograms.find("\n7,0.2,0,0,0,0,1,0,0,0,1,0,0,0,1,0,0,0,1,0,") != std::string::npos, histograms);
}

BOOST_AUTO_TEST_CASE(fields_with_commas_and_quotes_are_quoted) {
  BOOST_TEST(csv_field("plain") == "plain");
  BOOST_TEST(csv_field("a,b") == "\"a,b\"");
  BOOST_TEST(csv_field("say \"a\"\n") == "\"say \"\"a\"\"\n\"");
  BOOST_TEST(csv_number(std::nan("")).empty());
}

BOOST_AUTO_TEST_SUITE_END()
