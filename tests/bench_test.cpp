// What `descent bench` measures with: pictures out of nothing, sums of times, the machine's limits.
#include "bench/bench.h"

#include "compare.h"
#include "cuda_host/emulated_device.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <set>
#include <string>

using namespace descent;
using namespace descent::test;

namespace {

// On eight times `pictures` pictures.
BenchResult bench_convnet(std::int64_t pictures, const BenchRequest& request) {
  const auto device = make_device("cpu", {.threads = 1, .measure = false});
  const Network network = load_network("convnet");
  return bench(*device, network, synthetic_pictures(network, pictures, 1), request);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(benchmarks)

BOOST_AUTO_TEST_CASE(the_median_lies_in_the_middle_and_is_a_mean_where_two_do) {
  BOOST_TEST((Times{{3, 1, 2}}.median()) == 2);
  BOOST_TEST((Times{{4, 1, 3, 2}}.median()) == 2.5);
  BOOST_TEST((Times{{4, 1, 3, 2}}.least()) == 1);
  BOOST_TEST((Times{{4, 1, 3, 2}}.most()) == 4);
  BOOST_TEST(Times{}.median() == 0);
}

BOOST_AUTO_TEST_CASE(the_nearer_of_two_limits_counts) {
  const Limits limits{100, 10};
  BOOST_TEST(share_of_limits(200, 10, 4, limits) == 0.5);  // 2 s of arithmetic, 1 s of memory
  BOOST_TEST(share_of_limits(100, 20, 4, limits) == 0.5);  // 1 s, 2 s
  BOOST_TEST(share_of_limits(100, 20, 0, limits) == 0);
  BOOST_TEST(share_of_limits(100, 20, 1, Limits{}) == 0);
}

BOOST_AUTO_TEST_CASE(synthetic_pictures_follow_from_the_seed_and_use_every_class) {
  const Network network = load_network("convnet");
  const PictureSet set = synthetic_pictures(network, 100, 1);
  BOOST_CHECK(set.shape == network.input);
  BOOST_TEST(set.size() == 800U);
  BOOST_TEST(set.pictures.size() == 800U * 784U);
  BOOST_TEST((std::set<std::int32_t>(set.labels.begin(), set.labels.end()).size()) == 10U);
  BOOST_TEST((std::set<std::uint8_t>(set.pictures.begin(), set.pictures.end()).size()) == 256U);
  BOOST_CHECK(synthetic_pictures(network, 100, 1).pictures == set.pictures);
  BOOST_CHECK(synthetic_pictures(network, 100, 2).pictures != set.pictures);
}

BOOST_AUTO_TEST_CASE(a_batch_larger_than_the_pictures_is_refused) {
  BOOST_CHECK_EXCEPTION(static_cast<void>(bench_convnet(2, {.batch = 17})), std::exception,
                        [](const std::exception& error) {
                          return std::string(error.what()) == "a batch of 17 is more than the 16 pictures";
                        });
}

BOOST_AUTO_TEST_CASE(a_step_is_the_sum_of_its_parts_in_every_run) {
  for (const Mode mode : {Mode::train, Mode::infer}) {
    const BenchResult result = bench_convnet(4, {.mode = mode, .batch = 4, .runs = 3});
    BOOST_TEST(result.parts.size() == (mode == Mode::train ? 5U : 3U));
    BOOST_TEST(result.step.seconds.size() == 3U);
    for (std::size_t run = 0; run < 3; ++run) {
      double sum = 0;
      for (const BenchPart& part : result.parts) sum += part.times.seconds.at(run);
      BOOST_TEST(result.step.seconds.at(run) == sum);
      BOOST_TEST(sum > 0);
    }
    BOOST_TEST(!result.operations.empty());
    BOOST_TEST(result.parameters == 30394);
  }
}

BOOST_AUTO_TEST_CASE(where_steps_are_recorded_what_is_played_back_is_timed) {
  const auto device = make_emulated_cuda(by_rule(1));
  const Network network = load_network("convnet");
  const std::size_t before = emulated_replays();
  const BenchResult result =
      bench(*device, network, synthetic_pictures(network, 4, 1), {.batch = 4, .runs = 3});
  BOOST_REQUIRE(result.parts.size() == 2U);
  BOOST_TEST(result.parts.at(0).name == "load");
  BOOST_TEST(result.parts.at(1).name == "step");
  BOOST_TEST(emulated_replays() == before + 4);  // all steps, of which two do not count, but the first
  BOOST_TEST(result.loss > 1);
}

BOOST_AUTO_TEST_CASE(an_update_counts_what_it_reads_and_writes) {
  const auto device = make_device("cpu", {.threads = 1, .measure = false});
  // Values and gradients read, values written; with two slots of state these read and written too.
  BOOST_TEST(bench_update(*device, 1000, make_optimizer("sgd"), 2).bytes == 12000);
  BOOST_TEST(bench_update(*device, 1000, make_optimizer("adam"), 2).bytes == 28000);
  BOOST_TEST(bench_update(*device, 1000, make_optimizer("adam"), 2).pass.seconds.size() == 2U);
}

BOOST_AUTO_TEST_CASE(an_operation_is_held_against_a_copy_of_its_size) {
  Peaks peaks;
  BOOST_TEST(bandwidth(peaks, 10) == 0);
  peaks.copies = {{100, 9}, {1000, 5}};
  BOOST_TEST(bandwidth(peaks, 100) == 9);
  BOOST_TEST(bandwidth(peaks, 101) == 5);
  BOOST_TEST(bandwidth(peaks, 5000) == 5);
}

BOOST_AUTO_TEST_SUITE_END()
