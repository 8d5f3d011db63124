// parallel_for and parallel_parts: who gets which elements, and what becomes of exceptions.
#include "cpu/parallel.h"

#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

using descent::parallel_for;
using descent::parallel_parts;
using descent::PartOrder;

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

// To end threads and to start them again takes longer than most kernels.
BOOST_AUTO_TEST_CASE(a_short_loop_keeps_the_team_together) {
  const auto team = [] {
    std::array<pid_t, 4> threads{};
    parallel_for(4, 4, 1, [&](std::int64_t begin, std::int64_t) {
      threads.at(static_cast<std::size_t>(begin)) = ::gettid();
    });
    return threads;
  };
  const auto before = team();
  parallel_for(4, 2, 1, [](std::int64_t, std::int64_t) {});
  BOOST_CHECK(team() == before);
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

BOOST_AUTO_TEST_CASE(every_part_is_done_once_and_no_two_have_a_slot_at_once) {
  for (const int threads : {1, 2, 3, 7}) {
    for (const std::int64_t parts : {0, 1, 2, 5, 300}) {
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(parts));
      std::vector<std::atomic<int>> users(static_cast<std::size_t>(threads));
      std::atomic<int> wrong{0};
      parallel_parts(threads, parts, PartOrder::first_to_last, [&](std::int64_t part, std::int64_t slot) {
        ++visits[static_cast<std::size_t>(part)];
        if (slot < 0 || slot >= threads) {
          ++wrong;
          return;
        }
        if (users[static_cast<std::size_t>(slot)]++ != 0) ++wrong;
        --users[static_cast<std::size_t>(slot)];
      });
      BOOST_TEST(wrong == 0);
      for (const auto& visit : visits) BOOST_REQUIRE_EQUAL(visit, 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(parts_are_begun_in_the_order_asked_for) {
  const auto order_of = [](PartOrder order) {
    std::vector<std::int64_t> begun;
    parallel_parts(1, 4, order, [&](std::int64_t part, std::int64_t) { begun.push_back(part); });
    return begun;
  };
  BOOST_TEST((order_of(PartOrder::first_to_last) == std::vector<std::int64_t>{0, 1, 2, 3}));
  BOOST_TEST((order_of(PartOrder::last_to_first) == std::vector<std::int64_t>{3, 2, 1, 0}));
}

// The first part ends only when the others, two of them of the same share, are done by somebody else.
BOOST_AUTO_TEST_CASE(who_is_done_takes_parts_of_another_share) {
  std::atomic<int> done{0};
  bool all_done = false;
  parallel_parts(2, 6, PartOrder::first_to_last, [&](std::int64_t part, std::int64_t) {
    if (part != 0) {
      ++done;
      return;
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (done < 5 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    all_done = done == 5;
  });
  BOOST_TEST(all_done);
}

BOOST_AUTO_TEST_CASE(an_exception_of_a_part_reaches_the_caller) {
  const auto body = [](std::int64_t part, std::int64_t) {
    if (part == 2) throw std::runtime_error("part 2");
  };
  BOOST_CHECK_EXCEPTION(parallel_parts(2, 5, PartOrder::last_to_first, body), std::runtime_error,
                        [](const std::runtime_error& e) { return std::string(e.what()) == "part 2"; });
}

BOOST_AUTO_TEST_SUITE_END()
