// run.json and network.csv: what was run, and how it ended.
#include "train/run_record.h"

#include "descent/error.h"
#include "small_fit.h"
#include "temporary_folder.h"

#include <boost/test/unit_test.hpp>

#include <functional>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

using namespace descent;
using namespace descent::test;

namespace {

RunFacts some_facts() {
  RunFacts facts;
  facts.version = "1.2.3";
  facts.command = "descent train --data 'a \"b\"'";
  facts.device = "a device";
  facts.host = "host";
  facts.os = "an os";
  facts.processor = "a processor";
  facts.compiler = "a compiler";
  facts.threads = 3;
  facts.data = "halves";
  facts.model = "linear";
  facts.optimizer = "sgd";
  facts.classes = {"left, or so", "right\xff"};
  facts.train_pictures = 5;
  facts.valid_pictures = 2;
  return facts;
}

// Calls `action` at the second training step.
class AtSecondStep : public Observer {
 public:
  explicit AtSecondStep(std::function<void()> action) : action_(std::move(action)) {}
  void after_batch(FitState& state) override {
    if (state.training && state.step == 1) action_();
  }

 private:
  std::function<void()> action_;
};

struct Recorded {
  std::string text_during;
  std::string text_after;
  std::string network;

  [[nodiscard]] nlohmann::json during() const { return nlohmann::json::parse(text_during); }
  [[nodiscard]] nlohmann::json after() const { return nlohmann::json::parse(text_after); }
};

// A fit of 5 pictures in batches of 2 with something happening at its second step.
Recorded record(const std::function<void()>& happening) {
  const TemporaryFolder folder;
  const auto place = folder / "my run";
  std::filesystem::create_directory(place);
  Recorded recorded;
  SmallFit small;
  small.settings.epochs = 2;
  RunRecord observer(place, some_facts(), small.network);
  AtSecondStep at_second_step([&] {
    recorded.text_during = read_text(place / "run.json");
    happening();
  });
  try {
    small.run(half_data(5, 2), {&observer, &at_second_step});
  } catch (const Error&) {  // the happening's
  }
  recorded.text_after = read_text(place / "run.json");
  recorded.network = read_text(place / "network.csv");
  return recorded;
}

bool is_time(const nlohmann::json& value) {
  return std::regex_match(value.get<std::string>(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(run_record)

BOOST_AUTO_TEST_CASE(a_run_says_what_it_is_while_it_runs_and_that_it_is_done_at_the_end) {
  const Recorded recorded = record([] {});
  nlohmann::json expected = nlohmann::json::parse(R"({
    "name": "my run", "version": "1.2.3", "command": "descent train --data 'a \"b\"'", "device": "a device",
    "host": "host", "os": "an os", "processor": "a processor", "threads": 3, "compiler": "a compiler",
    "finished": null, "state": "running", "epochs": 2, "steps_per_epoch": 3, "batch_size": 2,
    "train_pictures": 5, "valid_pictures": 2, "data": "halves", "model": "linear", "optimizer": "sgd",
    "classes": ["left, or so", "right\ufffd"], "parameters": 34})");
  expected["pid"] = ::getpid();
  expected["started"] = recorded.during().at("started");
  BOOST_TEST(is_time(recorded.during().at("started")));
  BOOST_TEST(recorded.during() == expected);

  BOOST_TEST(is_time(recorded.after().at("finished")));
  BOOST_TEST(recorded.after().at("finished") >= recorded.after().at("started"));
  expected["state"] = "done";
  expected["finished"] = recorded.after().at("finished");
  BOOST_TEST(recorded.after() == expected);
}

BOOST_AUTO_TEST_CASE(a_cancelled_run_is_interrupted) {
  const Recorded recorded = record([] { throw Cancel{Scope::fit}; });
  BOOST_TEST(recorded.after().at("state") == "interrupted");
  BOOST_TEST(is_time(recorded.after().at("finished")));
}

BOOST_AUTO_TEST_CASE(a_cancelled_batch_or_epoch_is_no_interruption) {
  BOOST_TEST(record([] { throw Cancel{Scope::batch}; }).after().at("state") == "done");
  BOOST_TEST(record([] { throw Cancel{Scope::epoch}; }).after().at("state") == "done");
}

BOOST_AUTO_TEST_CASE(a_run_that_ends_by_an_error_has_failed) {
  const Recorded recorded = record([] { throw Error("no more"); });
  BOOST_TEST(recorded.after().at("state") == "failed");
  BOOST_TEST(is_time(recorded.after().at("finished")));
}

BOOST_AUTO_TEST_CASE(the_network_is_a_table_of_its_layers) {
  const Recorded recorded = record([] {});
  BOOST_TEST(recorded.network ==
             "layer,operation,input,output,parameters,macs\n"
             "0,flatten,1×4×4,16,0,0\n"
             "1,linear,16,2,34,32\n");
}

BOOST_AUTO_TEST_CASE(a_layer_with_a_comma_in_its_name_is_quoted) {
  Network network = linear_network();
  network.layers[0].name = "a,\"b\"";
  BOOST_TEST(network_csv(layer_rows(network)).find("\n\"a,\"\"b\"\"\",flatten,") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
