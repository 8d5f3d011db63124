// The settings of schedules, as scripts see them.
#include "program.h"
#include "workplace.h"

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

using descent::test::holds;

namespace {

void check_refused(std::vector<std::string> options, const std::vector<std::string>& parts) {
  options.insert(options.begin(), "train");
  const ProgramResult result = run_program(options);
  BOOST_TEST(result.code == 2, result.err);
  for (const std::string& part : parts) {
    BOOST_TEST(result.err.find(part) != std::string::npos, result.err << " lacks " << part);
  }
}

// The rates of steps.csv; --batch-size 8 makes 3 steps an epoch.
std::vector<double> rates(const descent::test::Workplace& place, const std::string& run) {
  std::vector<double> all;
  const std::vector<std::string> lines = place.lines(run + "/steps.csv");
  for (std::size_t i = 1; i < lines.size(); ++i)
    all.push_back(std::stod(lines[i].substr(lines[i].find(',') + 1)));
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cli_schedules)

BOOST_AUTO_TEST_CASE(a_run_follows_its_schedule_by_step_and_by_epoch) {
  const descent::test::Workplace place;
  BOOST_TEST(place.train("--optimizer sgd --lr 0.4 --epochs 2 --schedule linear --out step").code == 0);
  const std::vector<double> by_step = rates(place, "step");
  BOOST_REQUIRE(by_step.size() == 6U);
  for (std::size_t i = 0; i < 6; ++i)
    BOOST_CHECK_CLOSE(by_step[i], 0.4 * (1 - static_cast<double>(i) / 6), 1e-6);
  BOOST_TEST(
      place.train("--optimizer sgd --lr 0.4 --epochs 2 --schedule linear --schedule-by epoch --out epoch")
          .code == 0);
  const std::vector<double> wanted{0.4, 0.4, 0.4, 0.2, 0.2, 0.2};
  BOOST_TEST(rates(place, "epoch") == wanted, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_config_file_repeats_a_schedule_and_another_one_starts_from_its_own_defaults) {
  const descent::test::Workplace place;
  BOOST_TEST(place
                 .train("--epochs 2 --schedule cosine --final-lr 0.001 --schedule-period 4 --warmup 2 "
                        "--schedule-by step --out first")
                 .code == 0);
  const std::string config = read_text(place / "first/config.toml");
  for (const auto* line : {"\nschedule = \"cosine\"\n", "\nfinal-lr = 0.001\n", "\nschedule-period = 4\n",
                           "\nwarmup = 2\n", "\nschedule-by = \"step\"\n"}) {
    BOOST_TEST(holds(config, line), config);
  }
  BOOST_TEST(place.run("train --config first/config.toml --out second").code == 0);
  BOOST_TEST(rates(place, "first") == rates(place, "second"), boost::test_tools::per_element());
  BOOST_TEST(read_text(place / "second/config.toml") == config);
  const auto third = place.run("train --config first/config.toml --schedule onecycle --out third");
  BOOST_TEST(third.code == 0, third.errors);
  const std::string other = read_text(place / "third/config.toml");
  BOOST_TEST(holds(other, "\npct-start = 0.3\n"), other);
  for (const auto* gone : {"final-lr", "schedule-period", "warmup", "max-lr"})
    BOOST_TEST(!holds(other, gone), gone);
}

BOOST_AUTO_TEST_CASE(a_config_file_from_before_schedules_keeps_the_rate) {
  const descent::test::Workplace place;
  write_text(place / "old.toml",
             "data = \"halves\"\nmodel = \"tiny.toml\"\noptimizer = \"sgd\"\nlr = 0.3\n"
             "batch-size = 8\nepochs = 1\nthreads = 1\n");
  const auto outcome = place.run("train --config old.toml --out run");
  BOOST_TEST(outcome.code == 0, outcome.errors);
  BOOST_TEST(rates(place, "run") == (std::vector<double>{0.3, 0.3, 0.3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(unknown_schedules_and_units_come_with_the_nearest_right_one) {
  check_refused({"--schedule", "onecyle"}, {"onecyle", "'onecycle'"});
  check_refused({"--schedule-by", "epochs"}, {"--schedule-by", "'epoch'"});
  check_refused({"--schedule", "onecycle", "--pct-strat", "0.2"}, {"--pct-strat", "'--pct-start'"});
}

BOOST_AUTO_TEST_CASE(an_option_that_a_schedule_does_not_have_is_refused_with_those_it_has) {
  check_refused({"--schedule", "cosine", "--max-lr", "0.1"},
                {"--max-lr", "'cosine'", "--final-lr, --schedule-period", "'onecycle'"});
  check_refused({"--step-size", "3"}, {"--step-size", "'constant'", "none", "'step'"});
}

BOOST_AUTO_TEST_CASE(numbers_of_schedules_out_of_range_are_refused_by_the_options_name) {
  check_refused({"--schedule", "onecycle", "--pct-start", "1"}, {"--pct-start"});
  check_refused({"--schedule", "onecycle", "--max-lr", "0"}, {"--max-lr"});
  check_refused({"--schedule", "onecycle", "--div", "0.5"}, {"--div"});
  check_refused({"--schedule", "cosine", "--schedule-period", "1.5"}, {"--schedule-period"});
  check_refused({"--schedule", "step", "--step-size", "0"}, {"--step-size"});
  check_refused({"--warmup", "-1"}, {"--warmup"});
}

BOOST_AUTO_TEST_CASE(onecycle_refuses_a_warmup_and_names_what_to_use) {
  check_refused({"--schedule", "onecycle", "--warmup", "5"}, {"--warmup", "pct-start"});
}

BOOST_AUTO_TEST_CASE(a_warmup_as_long_as_the_run_is_refused_before_there_is_a_run_folder) {
  const descent::test::Workplace place;  // 3 steps an epoch
  const auto refused = [&](const std::string& options, const std::string& part) {
    const auto outcome = place.train(options + " --out run");
    BOOST_TEST(outcome.code == 2, outcome.errors);
    BOOST_TEST(holds(outcome.errors, part), outcome.errors);
    BOOST_TEST(!std::filesystem::exists(place / "run"));
  };
  refused("--epochs 2 --warmup 6", "6 steps leaves nothing of this run, which has 6");
  refused("--epochs 5 --steps 2 --warmup 2", "which has 2");
  refused("--epochs 2 --warmup 2 --schedule-by epoch", "2 epochs");
  BOOST_TEST(place.train("--epochs 2 --warmup 5 --out run").code == 0);
}

BOOST_AUTO_TEST_CASE(list_shows_what_every_optimizer_keeps) {
  const std::string table = run_program({"list", "optimizers"}).out;
  for (const auto* row :
       {"\nsgd          nothing ", "\nmomentum     1 value a weight ", "\nadam         2 values a weight "})
    BOOST_TEST(holds(table, row), table);
}

BOOST_AUTO_TEST_CASE(list_shows_every_schedule_with_its_defaults) {
  const ProgramResult result = run_program({"list", "schedules"});
  BOOST_TEST(result.code == 0, result.err);
  for (const auto* part : {"constant", "cosine", "onecycle", "linear", "step", "polynomial", "pct_start 0.3",
                           "schedule_period (the whole run)"}) {
    BOOST_TEST(result.out.find(part) != std::string::npos, part);
  }
}

BOOST_AUTO_TEST_SUITE_END()
