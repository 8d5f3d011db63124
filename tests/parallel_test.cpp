// parallel_for: who gets which elements, and what becomes of exceptions.
#include "cpu/parallel.h"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <stdexcept>
#include <vector>

using descent::parallel_for;

BOOST_AUTO_TEST_SUITE(parallel)

BOOST_AUTO_TEST_CASE(every_element_is_visited_once) {
  for (const int threads : {1, 2, 3, 7}) {
    for (const std::int64_t count : {1, 2, 15, 16, 17, 1000}) {
      for (const std::int64_t grain : {1, 16, 5000}) {
        std::vector<int> visits(static_cast<std::size_t>(count), 0);
        parallel_for(threads, count, grain, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        for (const int visit : visits) BOOST_REQUIRE_EQUAL(visit, 1);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(stretches_begin_at_multiples_of_the_grain) {
  std::atomic<int> odd{0};
  std::atomic<int> stretches{0};
  parallel_for(3, 100, 16, [&](std::int64_t begin, std::int64_t end) {
    ++stretches;
    if (begin % 16 != 0 || (end % 16 != 0 && end != 100)) ++odd;
  });
  BOOST_TEST(odd == 0);
  BOOST_TEST(stretches == 3);
}

BOOST_AUTO_TEST_CASE(nothing_to_do_calls_nothing) {
  bool called = false;
  parallel_for(2, 0, 1, [&](std::int64_t, std::int64_t) { called = true; });
  BOOST_TEST(!called);
}

BOOST_AUTO_TEST_CASE(an_exception_reaches_the_caller_and_the_other_stretches_finish) {
  std::atomic<int> finished{0};
  const auto body = [&](std::int64_t begin, std::int64_t) {
    if (begin == 0) throw std::runtime_error("stretch 0");
    ++finished;
  };
  BOOST_CHECK_EXCEPTION(parallel_for(4, 4, 1, body), std::runtime_error,
                        [](const std::runtime_error& e) { return std::string(e.what()) == "stretch 0"; });
  BOOST_TEST(finished == 3);
}

BOOST_AUTO_TEST_CASE(inside_another_team_the_work_is_still_done) {
  std::atomic<int> visits{0};
  parallel_for(2, 2, 1, [&](std::int64_t, std::int64_t) {
    parallel_for(2, 10, 1,
                 [&](std::int64_t begin, std::int64_t end) { visits += static_cast<int>(end - begin); });
  });
  BOOST_TEST(visits == 20);
}

BOOST_AUTO_TEST_SUITE_END()
