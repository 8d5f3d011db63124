// Reading run folders: whole, cut, of older versions; thinning; figures of classes.
#include "report/run_files.h"
#include "descent/error.h"
#include "report/class_metrics.h"
#include "report/csv_reader.h"
#include "report/thin.h"
#include "temporary_folder.h"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace {

using descent::report::Confusion;
using descent::report::CsvReader;
using descent::report::Curve;
using descent::report::RunFiles;

std::string host() {
  std::array<char, 256> name{};
  BOOST_REQUIRE(::gethostname(name.data(), name.size() - 1) == 0);
  return name.data();
}

// A process number that nobody has: of a child that has ended and was waited for.
pid_t dead_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  BOOST_REQUIRE(::waitpid(child, nullptr, 0) == child);
  return child;
}

// Two classes beside a third that nobody has and nobody says.
const Confusion three_classes{{"cat", "dog", "emu"}, {{8, 2, 0}, {1, 3, 0}, {0, 0, 0}}};

}  // namespace

BOOST_AUTO_TEST_SUITE(run_files)

BOOST_AUTO_TEST_CASE(a_quoted_field_holds_commas_quotes_and_line_ends) {
  CsvReader rows("name,count\n\"a,b\",1\n\"say \"\"hi\"\"\",2\n\"two\nlines\",3\r\n");
  std::vector<std::string> names;
  std::vector<double> counts;
  while (rows.next()) {
    names.emplace_back(rows.text(rows.column("name")));
    counts.push_back(rows.number(rows.column("count")));
  }
  const std::vector<std::string> expected{"a,b", "say \"hi\"", "two\nlines"};
  BOOST_TEST(names == expected, boost::test_tools::per_element());
  const std::vector<double> numbers{1, 2, 3};
  BOOST_TEST(counts == numbers, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_last_line_without_its_end_is_left_out) {
  const std::string whole = "step,lr,train_loss,momentum\n0,0.1,2.5,0.9\n1,0.1,2.25,0.9\n";
  for (std::size_t cut = whole.size() - 1; cut > whole.find("1,0.1"); --cut) {
    const auto steps = descent::report::read_steps(whole.substr(0, cut));
    BOOST_TEST(steps.step.size() == 1U);
    BOOST_TEST(steps.loss.back() == 2.5);
  }
  BOOST_TEST(descent::report::read_steps(whole).step.size() == 2U);
}

BOOST_AUTO_TEST_CASE(any_file_may_be_cut_anywhere) {
  const std::string histogram = [] {
    std::string text = "step,layer";
    for (int k = 0; k < 40; ++k) text += ",h" + std::to_string(k);
    text += "\n0,\"a\"\"b\"";
    for (int k = 0; k < 40; ++k) text += ",7";
    return text + "\n";
  }();
  const std::string layers =
      "step,layer,output_mean,output_std,gradient_mean,gradient_std\n0,0.2,0.5,1,1e-7,nan\n";
  const std::string confusion = "label,a,b\na,1,2\nb,3,4\n";
  for (std::size_t cut = 0; cut < histogram.size(); ++cut) {
    BOOST_TEST(descent::report::read_histograms(histogram.substr(0, cut)).empty());
  }
  for (std::size_t cut = 0; cut < layers.size(); ++cut) {
    BOOST_TEST(descent::report::read_layers(layers.substr(0, cut)).empty());
  }
  for (std::size_t cut = 0; cut < confusion.size(); ++cut) {
    BOOST_TEST(descent::report::read_confusion(confusion.substr(0, cut)).classes.empty());
  }
  BOOST_TEST(descent::report::read_histograms(histogram).front().counts.size() == 40U);
  BOOST_TEST(descent::report::read_layers(layers).front().output_mean.front() == 0.5);
  BOOST_TEST(descent::report::read_confusion(confusion).counts.at(1).at(0) == 3);
}

BOOST_AUTO_TEST_CASE(reads_what_is_not_finite_and_what_is_missing) {
  const auto steps =
      descent::report::read_steps("step,lr,train_loss\n0,0.1,nan\n1,0.1,inf\n2,,\n\nx,1,2\n3,0.1,1\n");
  BOOST_TEST(steps.step.size() == 4U);
  BOOST_TEST(std::isnan(steps.loss[0]));
  BOOST_TEST(steps.loss[1] == std::numeric_limits<double>::infinity());
  BOOST_TEST(std::isnan(steps.rate[2]));
  BOOST_TEST(std::isnan(steps.momentum[3]));
  BOOST_TEST(steps.loss[3] == 1);
}

BOOST_AUTO_TEST_CASE(layers_come_in_the_order_of_their_first_rows) {
  const auto layers = descent::report::read_layers(
      "step,layer,output_mean,output_std,gradient_mean,gradient_std\n"
      "0,b,1,2,3,4\n0,a,,,5,6\n10,b,7,8,9,10\n10,a,,,11,12\n");
  BOOST_REQUIRE(layers.size() == 2U);
  BOOST_TEST(layers[0].name == "b");
  const std::vector<double> steps{0, 10};
  BOOST_TEST(layers[0].step == steps, boost::test_tools::per_element());
  const std::vector<double> deviations{4, 10};
  BOOST_TEST(layers[0].gradient_std == deviations, boost::test_tools::per_element());
  BOOST_TEST(std::isnan(layers[1].output_mean[0]));
  BOOST_TEST(layers[1].gradient_mean[1] == 11);
}

BOOST_AUTO_TEST_CASE(a_folder_of_an_older_version_is_read_as_far_as_it_goes) {
  const TemporaryFolder folder;
  write_text(folder / "steps.csv", "step,lr,train_loss\n0,0.4,2.3\n");
  const RunFiles run = descent::report::read_run(folder.path());
  BOOST_TEST(run.name == folder.path().filename().string());
  BOOST_TEST(run.steps.rate.front() == 0.4);
  BOOST_TEST(run.layers.empty());
  BOOST_TEST(run.info.state.empty());
  BOOST_TEST(descent::report::state_text(run.info) == "not known: run.json is missing");
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_run_folder) {
  const TemporaryFolder folder;
  BOOST_CHECK_THROW((void)descent::report::read_run(folder.path()), descent::Error);
  BOOST_CHECK_THROW((void)descent::report::read_run(folder / "nowhere"), descent::Error);
}

BOOST_AUTO_TEST_CASE(a_running_run_whose_process_is_gone_was_killed) {
  const auto state = [](const std::string& name, const std::string& where, pid_t pid) {
    return descent::report::state_text(descent::report::read_info(
        "{\"state\":\"" + name + "\",\"host\":\"" + where + "\",\"pid\":" + std::to_string(pid) + "}"));
  };
  BOOST_TEST(state("running", host(), ::getpid()) == "running");
  BOOST_TEST(state("running", host(), dead_process()).starts_with("killed"));
  BOOST_TEST(state("running", "another-" + host(), dead_process()).starts_with("running"));
  BOOST_TEST(state("interrupted", host(), dead_process()) == "interrupted");
  BOOST_TEST(state("done", host(), ::getpid()) == "done");
}

BOOST_AUTO_TEST_CASE(a_broken_run_json_is_as_good_as_none) {
  for (const std::string text : {"", "{\"state\": \"do", "[1]", "{\"state\": 3, \"pid\": \"x\"}"}) {
    BOOST_TEST(descent::report::read_info(text).state.empty());
  }
}

BOOST_AUTO_TEST_CASE(precision_recall_and_f1_are_those_counted_by_hand) {
  const auto metrics = descent::report::class_metrics(three_classes);
  BOOST_REQUIRE(metrics.size() == 3U);
  BOOST_TEST(metrics[0].support == 10);
  BOOST_TEST(metrics[0].precision == 8.0 / 9);
  BOOST_TEST(metrics[0].recall == 8.0 / 10);
  BOOST_TEST(metrics[0].f1 == 16.0 / 19);
  BOOST_TEST(metrics[1].support == 4);
  BOOST_TEST(metrics[1].precision == 3.0 / 5);
  BOOST_TEST(metrics[1].recall == 3.0 / 4);
  BOOST_TEST(metrics[1].f1 == 2.0 / 3);
  BOOST_TEST(std::isnan(metrics[2].precision));
  BOOST_TEST(std::isnan(metrics[2].recall));
  BOOST_TEST(std::isnan(metrics[2].f1));
}

BOOST_AUTO_TEST_CASE(mistakes_come_most_frequent_first) {
  const auto mistakes = descent::report::frequent_mistakes(three_classes, 10);
  BOOST_REQUIRE(mistakes.size() == 2U);
  BOOST_TEST(mistakes[0].label == "cat");
  BOOST_TEST(mistakes[0].said == "dog");
  BOOST_TEST(mistakes[0].count == 2);
  BOOST_TEST(mistakes[0].share == 0.2);
  BOOST_TEST(mistakes[1].share == 0.25);
  BOOST_TEST(descent::report::frequent_mistakes(three_classes, 1).size() == 1U);
}

BOOST_AUTO_TEST_CASE(thinning_keeps_every_extreme_and_both_ends) {
  constexpr std::size_t count = 2950;
  std::vector<double> x;
  std::vector<double> y;
  for (std::size_t k = 0; k < count; ++k) {
    x.push_back(static_cast<double>(k));
    y.push_back(std::sin(static_cast<double>(k)));
  }
  y[1234] = 50;
  y[1235] = -50;
  y[2000] = std::nan("");
  y[2001] = std::numeric_limits<double>::infinity();
  const Curve curve = descent::report::thin_extremes(x, y, 1200);
  BOOST_TEST(curve.x.size() <= 1200U);
  BOOST_TEST(curve.x.size() > 1000U);
  BOOST_TEST(curve.x.size() == curve.y.size());
  BOOST_TEST(std::ranges::is_sorted(curve.x));
  BOOST_TEST(curve.x.front() == 0);
  BOOST_TEST(curve.x.back() == count - 1);
  for (const std::size_t extreme : {1234U, 1235U}) {
    const auto found = std::ranges::find(curve.x, static_cast<double>(extreme));
    BOOST_REQUIRE(found != curve.x.end());
    BOOST_TEST(curve.y[static_cast<std::size_t>(found - curve.x.begin())] == y[extreme]);
  }
}

BOOST_AUTO_TEST_CASE(a_stretch_without_finite_values_stays_a_gap) {
  std::vector<double> x(100);
  std::vector<double> y(100, 1.0);
  for (std::size_t k = 0; k < x.size(); ++k) x[k] = static_cast<double>(k);
  std::fill(y.begin() + 30, y.begin() + 60, std::nan(""));
  const Curve curve = descent::report::thin_extremes(x, y, 22);
  BOOST_TEST(std::ranges::any_of(curve.y, [](double value) { return std::isnan(value); }));
}

BOOST_AUTO_TEST_CASE(few_points_are_left_as_they_are) {
  const std::vector<double> x{0, 1, 2};
  const std::vector<double> y{3, std::nan(""), 5};
  const Curve curve = descent::report::thin_extremes(x, y, 4);
  BOOST_TEST(curve.x == x, boost::test_tools::per_element());
  BOOST_TEST(curve.y.size() == 3U);
}

BOOST_AUTO_TEST_CASE(means_are_of_the_values_that_are_there) {
  const std::vector<double> values{1, 3, std::nan(""), 5, 7};
  const std::vector<double> means = descent::report::thin_means(values, 2);
  const std::vector<double> expected{2, 5, 7};
  BOOST_TEST(means == expected, boost::test_tools::per_element());
  BOOST_TEST(descent::report::values_a_point(2950, 600) == 5U);
  BOOST_TEST(descent::report::values_a_point(600, 600) == 1U);
}

BOOST_AUTO_TEST_CASE(columns_of_a_picture_are_averaged_row_by_row) {
  const std::vector<double> values{1, 10, 3, 30, 5, 50};  // three columns of two rows
  const std::vector<double> expected{2, 20, 5, 50};
  BOOST_TEST(descent::report::thin_columns(values, 2, 2) == expected, boost::test_tools::per_element());
}

// 1, 1, 1, 1, −1 with β = 0.5 gives 0.5 0.75 0.875 0.9375 −0.03125 before the correction by 1 − βᵗ.
BOOST_AUTO_TEST_CASE(smoothing_is_the_bias_corrected_weighted_mean) {
  const std::vector<double> values{1, 1, 1, 1, -1};
  const std::vector<double> means = descent::report::smoothed(values, 0.5);
  for (std::size_t k = 0; k < 4; ++k) BOOST_TEST(means[k] == 1, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(means[4] == -0.03125 / (1 - std::pow(0.5, 5)), boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_SUITE_END()
