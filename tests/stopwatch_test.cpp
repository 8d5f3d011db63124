#include "cpu/stopwatch.h"

#include <boost/test/unit_test.hpp>

#include <functional>
#include <utility>

using namespace descent;

namespace {

// A machine whose clock only work and looking around move on.
class Machine {
 public:
  // Which factor work at a time takes longer by.
  explicit Machine(std::function<double(double)> slowness) : slowness_(std::move(slowness)) {}

  void work(double seconds) { now_ += seconds * slowness_(now_); }
  [[nodiscard]] double now() const { return now_; }
  Surroundings surroundings() {
    return {[this] { return now_; },
            [this] {
              now_ += 1e-4;
              return slowness_(now_) == 1;
            }};
  }

 private:
  double now_ = 0;
  std::function<double(double)> slowness_;
};

constexpr double work = 0.01;  // seconds where nobody else computes
const auto close_to = boost::test_tools::tolerance(1e-9);

}  // namespace

BOOST_AUTO_TEST_SUITE(stopwatch)

BOOST_AUTO_TEST_CASE(alone_a_few_runs_are_enough) {
  Machine machine([](double) { return 1.0; });
  Stopwatch stopwatch(machine.surroundings());
  int runs = 0;
  const double seconds = stopwatch.shortest([&] {
    ++runs;
    machine.work(work);
  });
  BOOST_TEST(seconds == work, close_to);
  BOOST_TEST(runs == 7);  // one to warm up
}

BOOST_AUTO_TEST_CASE(what_is_beaten_is_run_twice) {
  Machine machine([](double) { return 1.0; });
  Stopwatch stopwatch(machine.surroundings());
  const auto runs_against = [&](double rival) {
    int runs = 0;
    const double seconds = stopwatch.shortest(
        [&] {
          ++runs;
          machine.work(work);
        },
        rival);
    BOOST_TEST(seconds == work, close_to);
    return runs;
  };
  BOOST_TEST(runs_against(0.6 * work) == 2);  // one to warm up
  BOOST_TEST(runs_against(0.7 * work) == 7);
}

BOOST_AUTO_TEST_CASE(in_company_twice_the_rivals_time_is_not_beaten) {
  Machine machine([](double now) { return now < 0.1 ? 2.0 : 1.0; });
  Stopwatch stopwatch(machine.surroundings());
  BOOST_TEST(stopwatch.shortest([&] { machine.work(work); }, work) == work, close_to);
}

BOOST_AUTO_TEST_CASE(what_is_beaten_by_far_is_not_outwaited) {
  Machine machine([](double) { return 2.0; });
  Stopwatch stopwatch(machine.surroundings());
  int runs = 0;
  const auto run = [&] {
    ++runs;
    machine.work(work);
  };
  BOOST_TEST(stopwatch.shortest(run, 0.6 * work) == 2 * work, close_to);
  BOOST_TEST(runs == 3);
}

BOOST_AUTO_TEST_CASE(a_neighbour_of_a_fifth_of_a_second_is_outwaited) {
  Machine machine([](double now) { return now < 0.2 ? 2.0 : 1.0; });
  Stopwatch stopwatch(machine.surroundings());
  BOOST_TEST(stopwatch.shortest([&] { machine.work(work); }) == work, close_to);
}

BOOST_AUTO_TEST_CASE(patience_is_saved_up_for_a_neighbour_who_stays_longer) {
  Machine machine([](double now) { return now < 0.9 || (now > 3 && now < 3.9) ? 2.0 : 1.0; });
  Stopwatch stopwatch(machine.surroundings());
  BOOST_TEST(stopwatch.shortest([&] { machine.work(work); }) == work, close_to);  // there is a second of it
  while (machine.now() < 3) static_cast<void>(stopwatch.shortest([&] { machine.work(work); }));
  BOOST_TEST(stopwatch.shortest([&] { machine.work(work); }) == work, close_to);
}

BOOST_AUTO_TEST_CASE(a_neighbour_who_never_leaves_delays_by_a_second_then_each_time_by_a_tenth_and_three_runs) {
  Machine machine([](double) { return 2.0; });
  Stopwatch stopwatch(machine.surroundings());
  constexpr double a_run = 2 * work;
  for (const double patience : {1.0, 0.1, 0.1}) {
    const double begin = machine.now();
    BOOST_TEST(stopwatch.shortest([&] { machine.work(work); }) == a_run, close_to);
    BOOST_TEST(machine.now() - begin < patience + 4 * a_run + 0.01);
  }
}

BOOST_AUTO_TEST_CASE(no_more_than_a_second_of_patience_is_saved_up) {
  Machine machine([](double now) { return now > 20 ? 2.0 : 1.0; });
  Stopwatch stopwatch(machine.surroundings());
  while (machine.now() < 20) static_cast<void>(stopwatch.shortest([&] { machine.work(work); }));
  const double begin = machine.now();
  static_cast<void>(stopwatch.shortest([&] { machine.work(work); }));
  BOOST_TEST(machine.now() - begin < 1 + 4 * 2 * work + 0.01);
}

BOOST_AUTO_TEST_CASE(runs_that_never_agree_end_after_a_tenth_of_a_second) {
  double now = 0;
  double seconds = 0.01;
  Stopwatch stopwatch({[&] { return now; },
                       [&] {
                         now += 1e-4;
                         return true;
                       }});
  static_cast<void>(stopwatch.shortest([&] {
    now += seconds;
    seconds *= 0.9;
  }));
  BOOST_TEST(now < 0.13);
}

BOOST_AUTO_TEST_CASE(short_work_is_not_waited_for_long) {
  constexpr double short_work = 1e-4;
  Machine machine([](double) { return 2.0; });
  Stopwatch stopwatch(machine.surroundings());
  while (machine.now() < 1) static_cast<void>(stopwatch.shortest([&] { machine.work(work); }));
  const double begin = machine.now();
  BOOST_TEST(stopwatch.shortest([&] { machine.work(short_work); }) > short_work);
  BOOST_TEST(machine.now() - begin < 0.01);
}

// Whoever comes during a run disturbs it, though nobody was there when it began.
BOOST_AUTO_TEST_CASE(runs_that_ended_in_company_do_not_agree_with_each_other) {
  constexpr int in_company = 10;
  double now = 0;
  int runs = 0;
  bool alone = false;
  Stopwatch stopwatch({[&] { return now; },
                       [&] {
                         now += 1e-4;
                         alone = !alone;
                         return alone || runs > in_company;
                       }});
  const double seconds = stopwatch.shortest([&] {
    ++runs;
    now += runs > in_company ? work : 2 * work;
  });
  BOOST_TEST(seconds == work, close_to);
}

BOOST_AUTO_TEST_SUITE_END()
