// The settings of schedules, as scripts see them.
#include "program.h"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

namespace {

void check_refused(std::vector<std::string> options, const std::vector<std::string>& parts) {
  options.insert(options.begin(), "train");
  const ProgramResult result = run_program(options);
  BOOST_TEST(result.code == 2, result.err);
  for (const std::string& part : parts) {
    BOOST_TEST(result.err.find(part) != std::string::npos, result.err << " lacks " << part);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cli_schedules)

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
  check_refused({"--schedule", "onecycle", "--warmup", "5"}, {"--warmup", "--pct-start"});
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
