// descent lr-find, as scripts see it.
#include "workplace.h"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace fs = std::filesystem;
using namespace descent::test;

namespace {

Ending find(const Workplace& place, const std::string& options) {
  return place.run("lr-find --data halves --model tiny.toml --batch-size 8 --threads 1 " + options);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cli_lr_find)

BOOST_AUTO_TEST_CASE(a_search_prints_its_rows_and_writes_its_files) {
  const Workplace place;
  const Ending ending = find(place, "--optimizer sgd --gamma 2 --start 1e-4 --max-epochs 20 --out found");
  BOOST_TEST(ending.code == 0, ending.errors);
  BOOST_TEST(ending.output.find("1.6000e-03") != std::string::npos, ending.output);
  BOOST_TEST(ending.output.find("results in found") != std::string::npos, ending.output);
  const auto lines = place.lines("found/lr_find.csv");
  BOOST_REQUIRE(lines.size() > 12U);
  BOOST_TEST(lines[0] == "step,lr,loss");
  BOOST_TEST(lines[1].starts_with("0,0.0001,"), lines[1]);
  BOOST_TEST(lines[5].starts_with("4,0.0016,"), lines[5]);
  const auto json = nlohmann::json::parse(read_text(place / "found/lr_find.json"));
  for (const auto* key :
       {"suggestion", "reason", "steepest", "lowest", "optimizer", "gamma", "max_multiple", "start"}) {
    BOOST_TEST(json.contains(key), key);
  }
  BOOST_TEST(json.at("optimizer") == "sgd");
  BOOST_TEST(json.at("gamma") == 2.0);
  BOOST_TEST(json.at("start") == 1e-4);
  const std::string page = read_text(place / "found/lr-find.html");
  BOOST_TEST(page.starts_with("<!DOCTYPE html>"));
  BOOST_TEST(page.find("learning rate") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_settings_of_a_run_are_taken_and_the_results_go_to_its_folder) {
  const Workplace place;
  BOOST_TEST(place.train("--optimizer momentum --epochs 1 --schedule onecycle --out run").code == 0);
  const std::string weights = read_text(place / "run/model.safetensors");
  BOOST_TEST(read_text(place / "run/report.html").find("Learning-rate finder") == std::string::npos);
  const Ending ending = place.run("lr-find --run run --max-epochs 3 --quiet");
  BOOST_TEST(ending.code == 0, ending.errors);
  BOOST_TEST(ending.errors.empty(), ending.errors);
  const auto json = nlohmann::json::parse(read_text(place / "run/lr_find.json"));
  BOOST_TEST(json.at("optimizer") == "momentum");
  BOOST_TEST(place.lines("run/lr_find.csv").size() == 10U);  // 3 epochs of 3 steps
  BOOST_TEST(json.at("suggestion").is_null());               // too few
  BOOST_TEST(fs::exists(place / "run/lr-find.html"));
  BOOST_TEST(read_text(place / "run/report.html").find("Learning-rate finder") != std::string::npos);
  BOOST_TEST(read_text(place / "run/model.safetensors") == weights);
}

BOOST_AUTO_TEST_CASE(without_a_folder_every_search_takes_one_of_its_own) {
  const Workplace place;
  BOOST_TEST(find(place, "--max-epochs 2 --quiet").code == 0);
  BOOST_TEST(find(place, "--max-epochs 2 --quiet").code == 0);
  BOOST_TEST(fs::exists(place / "runs/lr-find-halves-tiny-adam/lr_find.csv"));
  BOOST_TEST(fs::exists(place / "runs/lr-find-halves-tiny-adam-2/lr_find.csv"));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused_in_one_sentence) {
  const Workplace place;
  const auto refused = [&](const std::string& options, const std::string& part) {
    const Ending ending = find(place, options);
    BOOST_TEST(ending.code == 2, ending.errors);
    BOOST_TEST(ending.errors.find(part) != std::string::npos, ending.errors);
    BOOST_TEST(ending.output.empty());
  };
  refused("--gamma 1", "gamma");
  refused("--max-multiple 0.5", "multiple");
  refused("--start 0", "--start");
  refused("--max-epochs 0", "--max-epochs");
  refused("--lr 0.1", "--lr");
  refused("--run none", "none/config.toml");
  refused("--run none --out there", "--run");
  const Ending ending = find(place, "--out tiny.toml/there");
  BOOST_TEST(ending.code == 2, ending.errors);
  BOOST_TEST(ending.errors.starts_with("descent: cannot create the folder"),
             ending.errors);  // not "step 19, …"
  BOOST_TEST(!fs::exists(place / "runs"));
}

BOOST_AUTO_TEST_SUITE_END()
