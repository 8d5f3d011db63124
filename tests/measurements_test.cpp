#include "plan/measurements.h"

#include "base/files.h"
#include "cpu/device.h"
#include "cpu/simd.h"
#include "descent/error.h"
#include "descent/network.h"
#include "descent/parameters.h"
#include "network_builder.h"
#include "temporary_folder.h"
#include "train/phase.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

using namespace descent;

namespace {

double measured(Measurements& measurements, const std::string& key, double seconds) {
  return measurements.seconds(key, [&] { return seconds; });
}

double never() {
  BOOST_FAIL("a recorded time was measured again");
  return 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(measurements)

BOOST_AUTO_TEST_CASE(a_time_is_measured_once_and_then_repeated_from_the_cache) {
  const TemporaryFolder folder;
  const Measurements::Settings settings{"this machine", {}, folder.path() / "cache" / "plan.json"};
  {
    Measurements first(settings);
    BOOST_TEST(measured(first, "conv", 0.125) == 0.125);
    BOOST_TEST(first.seconds("conv", never) == 0.125);
    first.save();
  }
  Measurements second(settings);
  BOOST_TEST(second.seconds("conv", never) == 0.125);
}

// Whatever is measured later: the same run finds the same.
BOOST_AUTO_TEST_CASE(a_time_follows_from_that_of_the_like) {
  const TemporaryFolder folder;
  const Measurements::Likeness like{"conv of 1024", 0.5};
  Measurements here({"this machine", {}, {}});
  BOOST_TEST(here.seconds(
                 "conv of 512", [] { return 0.3; }, like) == 0.3);  // it is not known yet
  BOOST_TEST(here.seconds("conv of 512", never) == 0.3);
  measured(here, "conv of 1024", 0.5);
  BOOST_TEST(here.seconds("conv of 512", never, like) == 0.25);

  Measurements alone({"this machine", {}, {}});
  measured(alone, "conv of 1024", 0.5);
  BOOST_TEST(alone.seconds("conv of 512", never, like) == 0.25);
  const std::string text = alone.text();
  BOOST_TEST(text.find("conv of 512") == std::string::npos, text);  // it is not a measurement
  const auto plan = folder.path() / "plan.json";
  write_file_atomically(plan, text);
  BOOST_TEST(Measurements({"another machine", plan, {}}).seconds("conv of 512", never, like) == 0.25);
}

BOOST_AUTO_TEST_CASE(names_are_those_of_the_like) {
  using Names = std::vector<std::string>;
  const Measurements::Likeness like{"conv of 1024"};
  Measurements here({"this machine", {}, {}});
  const auto names = [&](const std::string& key, const Names& now, const auto& likeness) {
    return here.names(
        key, [&] { return now; }, likeness);
  };
  BOOST_CHECK(names("conv of 512", {"own"}, std::nullopt) == Names{"own"});
  BOOST_CHECK(names("conv of 512", {}, std::optional(like)) == Names{"own"});
  BOOST_CHECK(names("conv of 1024", {"other"}, std::nullopt) == Names{"other"});
  BOOST_CHECK(names("conv of 512", {}, std::optional(like)) == Names{"other"});
}

BOOST_AUTO_TEST_CASE(a_start_that_takes_long_says_what_it_waits_for) {
  std::vector<std::string> told;
  double now = 0;
  Measurements measurements(
      {"this machine", {}, {}, [&](const std::string& text) { told.push_back(text); }, [&] { return now; }});
  const auto measure_for = [&](const std::string& key, double seconds) {
    measurements.seconds(key, [&] {
      now += seconds;
      return seconds;
    });
  };
  measure_for("quick", 0.9);
  BOOST_TEST(told.empty());
  measure_for("slow", 0.2);
  measure_for("next", 8.8);
  const std::string first = "kernels are timed for this network, batch and number of threads";
  BOOST_TEST(told == std::vector<std::string>{first}, boost::test_tools::per_element());
  measure_for("tenth second", 0.2);
  measure_for("eleventh", 1);
  BOOST_TEST(told == (std::vector<std::string>{first, "kernels are timed: 4 in 10 s"}),
             boost::test_tools::per_element());
}

// Whoever loses patience with a start that takes long finds what it has found.
BOOST_AUTO_TEST_CASE(a_start_that_is_ended_leaves_what_it_has_measured) {
  const TemporaryFolder folder;
  const auto cache = folder.path() / "plan.json";
  double now = 0;
  Measurements measurements({"this machine", {}, cache, {}, [&] { return now; }});
  const auto measure = [&] {
    now += 6;
    return 0.25;
  };
  measurements.seconds("first", measure);
  measurements.seconds("second", measure);
  BOOST_TEST(Measurements({"this machine", {}, cache}).seconds("second", never) == 0.25);
}

BOOST_AUTO_TEST_CASE(names_are_listed_once_a_machine) {
  const TemporaryFolder folder;
  const auto cache = folder.path() / "plan.json";
  const std::vector<std::string> two{"fast", ""};
  const auto list = [&] { return two; };
  const auto unasked = []() -> std::vector<std::string> {
    BOOST_FAIL("recorded names were listed again");
    return {};
  };
  std::string text;
  {
    Measurements first({"this machine", {}, cache});
    BOOST_CHECK(first.names("conv", list) == two);
    BOOST_CHECK(first.names("conv", unasked) == two);
    text = first.text();
    first.save();
  }
  Measurements second({"this machine", {}, cache});
  BOOST_CHECK(second.names("conv", unasked) == two);
  // What another machine's library offers says nothing of ours.
  const auto plan = folder.path() / "carried.json";
  write_file_atomically(plan, text);
  BOOST_CHECK(Measurements({"this machine", plan, {}}).names("conv", unasked) == two);
  Measurements elsewhere({"another machine", plan, {}});
  BOOST_CHECK(elsewhere.names("conv", [] { return std::vector<std::string>{"other"}; }) ==
              std::vector<std::string>{"other"});
}

BOOST_AUTO_TEST_CASE(a_cache_of_another_machine_or_a_broken_one_does_no_harm) {
  const TemporaryFolder folder;
  const auto cache = folder.path() / "plan.json";
  {
    Measurements other({"another machine", {}, cache});
    measured(other, "conv", 9);
    other.save();
  }
  Measurements here({"this machine", {}, cache});
  BOOST_TEST(measured(here, "conv", 1) == 1);
  here.save();  // lets others measure

  write_file_atomically(cache, "{\"format\":");
  Measurements again({"this machine", {}, cache});
  BOOST_TEST(measured(again, "conv", 2) == 2);
}

BOOST_AUTO_TEST_CASE(times_of_a_build_with_other_loops_are_those_of_another_machine) {
  DeviceOptions options;
  options.threads = 1;
  options.use_plan_cache = false;
  const CpuDevice device(options);
  const std::string machine = device.description() + std::string(loops_of_build) + ", kernels ";
  BOOST_TEST(device.plan_text().find(machine) != std::string::npos, device.plan_text());
}

// Without convolutions and normalisations, for which the library's list may differ from batch to batch.
Network without_lists() {
  test::NetworkBuilder builder({3, 8, 8});
  builder.add(MaxPool{});
  builder.add(GeneralRelu{});
  builder.add(AvgPool{});
  builder.add(Flatten{});
  builder.add(Linear{.out = 4});
  return builder.build();
}

BOOST_AUTO_TEST_CASE(the_smaller_last_batch_of_a_phase_goes_by_the_times_of_the_others) {
  DeviceOptions options;
  options.threads = 1;
  options.use_plan_cache = false;
  CpuDevice device(options);
  const Network network = without_lists();
  ParameterStore store(device, parameter_layout(network), true);
  const auto times = [&] { return nlohmann::json::parse(device.plan_text()).at("seconds").size(); };
  PlanRequest request{.mode = Mode::train, .batch = 64, .loss = true};
  static_cast<void>(device.prepare(network, request, store));
  const std::size_t of_one_plan = times();
  BOOST_TEST(of_one_plan > 0U);

  PictureSet pictures;
  pictures.shape = network.input;
  pictures.pictures.resize(static_cast<std::size_t>(network.input.elements()) * (64 + 32));
  static_cast<void>(PhasePlans(network, store, pictures, 64, request));
  BOOST_TEST(times() == of_one_plan);
  request.batch = 32;
  static_cast<void>(device.prepare(network, request, store));
  BOOST_TEST(times() > of_one_plan);
}

BOOST_AUTO_TEST_CASE(a_cache_that_cannot_be_written_does_no_harm) {
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "a_file", "");
  Measurements blocked({"this machine", {}, folder.path() / "a_file" / "plan.json"});
  BOOST_TEST(measured(blocked, "conv", 3) == 3);
  BOOST_CHECK_NO_THROW(blocked.save());
}

BOOST_AUTO_TEST_CASE(the_plan_file_carries_the_times_that_were_used_to_another_machine) {
  const TemporaryFolder folder;
  Measurements here({"this machine", {}, {}});
  measured(here, "conv", 0.1);
  const auto plan = folder.path() / "plan.json";
  write_file_atomically(plan, here.text());

  const auto cache = folder.path() / "cache.json";
  Measurements there({"another machine", plan, cache});
  BOOST_TEST(there.seconds("conv", never) == 0.1);
  measured(there, "pool", 0.2);
  there.save();
  BOOST_TEST(!std::filesystem::exists(cache));  // times of two machines never mix in a cache
}

BOOST_AUTO_TEST_CASE(a_plan_file_that_is_none_is_refused_by_name) {
  const TemporaryFolder folder;
  const auto plan = folder.path() / "plan.json";
  for (const char* text :
       {"", "{}", "[1]", R"({"format":"descent plan 1","machine":"m","seconds":{"a":-1}})"}) {
    write_file_atomically(plan, text);
    BOOST_CHECK_EXCEPTION(Measurements({"m", plan, {}}), Error, [](const Error& error) {
      return std::string(error.what()).find("plan.json") != std::string::npos;
    });
  }
}

BOOST_AUTO_TEST_CASE(who_measures_second_takes_what_the_first_has_found) {
  const TemporaryFolder folder;
  const Measurements::Settings settings{"this machine", {}, folder.path() / "plan.json"};
  Measurements first(settings);
  Measurements second(settings);
  measured(first, "conv", 1);
  first.save();
  BOOST_TEST(second.seconds("conv", never) == 1);
  second.save();
}

BOOST_AUTO_TEST_SUITE_END()
