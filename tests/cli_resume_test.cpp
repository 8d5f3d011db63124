// descent resume, as scripts see it.
#include "workplace.h"

#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fs = std::filesystem;
using descent::test::check_refused;
using descent::test::Ending;
using descent::test::holds;
using descent::test::Workplace;

namespace {

constexpr auto settings = "--epochs 150 --optimizer adam --schedule onecycle --shift 1 --watch-every 5";

// A run that a signal ends some time after its first epoch.
void start_and_signal(const Workplace& place, const std::string& signal) {
  const std::string script = "cd '" + (place / "").string() +
                             "' && XDG_CACHE_HOME=\"$PWD/cache\" '" DESCENT_PROGRAM
                             "' train --data halves --model tiny.toml --batch-size 8 --threads 1 --out cut " +
                             std::string(settings) + " >/dev/null 2>stderr.txt & pid=$!; while ! [ -s '" +
                             (place / "cut/checkpoint.safetensors").string() +
                             "' ] && kill -0 $pid; do sleep 0.02; done; kill -" + signal + " $pid; wait $pid";
  const int status = std::system(script.c_str());
  BOOST_REQUIRE(WIFEXITED(status));
  BOOST_REQUIRE_MESSAGE(WEXITSTATUS(status) > 128, "the run ended before the signal came");
}

// Without the seconds, its last two columns.
std::vector<std::string> metrics(const Workplace& place, const std::string& run) {
  std::vector<std::string> lines = place.lines(run + "/metrics.csv");
  for (std::string& line : lines) {
    line.erase(line.rfind(','));
    line.erase(line.rfind(','));
  }
  return lines;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cli_resume)

BOOST_AUTO_TEST_CASE(a_run_that_a_signal_ended_goes_on_to_the_files_of_one_that_was_never_left) {
  const Workplace place;
  BOOST_REQUIRE(place.train(std::string("--out straight ") + settings).code == 0);
  for (const std::string signal : {"TERM", "KILL"}) {
    BOOST_TEST_CONTEXT(signal) {
      fs::remove_all(place / "cut");
      start_and_signal(place, signal);
      BOOST_TEST(place.lines("cut/metrics.csv").size() < place.lines("straight/metrics.csv").size());
      const Ending outcome = place.run("resume cut");
      BOOST_TEST(outcome.code == 0, outcome.errors);
      BOOST_TEST(holds(outcome.errors, "going on from step "), outcome.errors);
      for (const std::string file : {"steps.csv", "layers.csv", "histograms.csv", "parameters.csv",
                                     "gradients.csv", "confusion.csv", "model.safetensors", "best.safetensors",
                                     "checkpoint.safetensors", "plan.json", "config.toml", "batch.csv"}) {
        const bool counts_seconds = file == "checkpoint.safetensors";
        BOOST_TEST(
            (counts_seconds || read_text(place / ("cut/" + file)) == read_text(place / ("straight/" + file))),
            file);
      }
      BOOST_TEST(metrics(place, "cut") == metrics(place, "straight"), boost::test_tools::per_element());
      BOOST_TEST(place.run("report cut").code == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_run_that_is_done_goes_on_if_it_is_given_more_epochs) {
  const Workplace place;
  BOOST_TEST(place.train("--epochs 2 --out run").code == 0);
  BOOST_TEST(place.train("--epochs 4 --out straight").code == 0);
  check_refused(place.run("resume run"), {"'run'", "2 epochs", "--epochs"});
  check_refused(place.run("resume run --epochs 2"), {"2 epochs"});
  BOOST_TEST(place.run("resume run --epochs 4 --quiet").errors.empty());
  BOOST_TEST(read_text(place / "run/steps.csv") == read_text(place / "straight/steps.csv"));
  BOOST_TEST(read_text(place / "run/config.toml") == read_text(place / "straight/config.toml"));
}

BOOST_AUTO_TEST_CASE(a_run_cut_by_its_number_of_steps_goes_on_within_its_epoch) {
  const Workplace place;
  BOOST_TEST(place.train("--epochs 2 --out straight").code == 0);
  BOOST_TEST(place.train("--epochs 2 --steps 5 --out run").code == 0);
  check_refused(place.run("resume run"), {"5 steps", "--steps"});
  BOOST_TEST(place.run("resume run --steps 6").code == 0);
  BOOST_TEST(read_text(place / "run/steps.csv") == read_text(place / "straight/steps.csv"));
  BOOST_TEST(metrics(place, "run") == metrics(place, "straight"), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_with_other_threads) {
  const Workplace place;
  BOOST_TEST(place.train("--epochs 1 --out run").code == 0);
  const Ending outcome = place.run("resume run --epochs 2 --threads 2");
  BOOST_TEST(outcome.code == 0, outcome.errors);
  BOOST_TEST(holds(read_text(place / "run/config.toml"), "\nthreads = 2\n"));
  BOOST_TEST(place.lines("run/metrics.csv").size() == 3U);
}

BOOST_AUTO_TEST_CASE(a_run_that_is_still_going_on_is_left_alone) {
  const Workplace place;
  BOOST_TEST(place.train("--epochs 1 --out run").code == 0);
  const std::string file = (place / "run/run.json").string();
  nlohmann::json run = nlohmann::json::parse(read_text(file));
  run["state"] = "running";
  run["pid"] = ::getpid();
  write_text(file, run.dump());
  check_refused(place.run("resume run --epochs 2"), {"still going on", std::to_string(::getpid())});
  run["pid"] = 2147483647;  // of no process: the run was killed
  write_text(file, run.dump());
  BOOST_TEST(place.run("resume run --epochs 2").code == 0);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_taken_up_is_refused) {
  const Workplace place;
  check_refused(place.run("resume halves"), {"'halves'", "checkpoint.safetensors"});
  check_refused(place.run("resume nowhere"), {"'nowhere'"});
  BOOST_TEST(place.train("--epochs 1 --out run").code == 0);
  check_refused(place.run("resume run --lr 2"), {"--lr"});
  const std::string kept = read_text(place / "run/steps.csv");
  write_text(place / "run/steps.csv", "other,columns\n1,2\n");
  check_refused(place.run("resume run --epochs 2"), {"steps.csv", "first line"});
  write_text(place / "run/steps.csv", kept);
  descent::test::write_part(place / "halves", "train", 40);
  check_refused(place.run("resume run --epochs 2"), {"steps an epoch"});
  write_text(place / "run/checkpoint.safetensors", "abc");
  check_refused(place.run("resume run --epochs 2"), {"checkpoint.safetensors"});
}

BOOST_AUTO_TEST_SUITE_END()
