#include "cpu/pace.h"

#include <boost/test/unit_test.hpp>

using namespace descent;

namespace {

// A machine whose clock only the arithmetic moves on.
struct Machine {
  double time = 0;
  double slowness = 1;
  long preemptions = 5;

  PaceSources sources() {
    return {[this] { return time; },
            [this] {
              constexpr double alone = 1e-4;
              time += alone * slowness;
              return alone * slowness;
            },
            [this] { return preemptions; }};
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(pace)

BOOST_AUTO_TEST_CASE(alone_nobody_disturbs) {
  Machine machine;
  Pace pace(machine.sources());
  BOOST_TEST(pace.undisturbed());
  machine.slowness = 1.1;
  BOOST_TEST(pace.undisturbed());
}

BOOST_AUTO_TEST_CASE(slow_arithmetic_is_a_neighbour) {
  Machine machine;
  Pace pace(machine.sources());
  BOOST_TEST(pace.undisturbed());
  machine.slowness = 1.6;
  BOOST_TEST(!pace.undisturbed());
  machine.slowness = 1;
  BOOST_TEST(pace.undisturbed());
}

BOOST_AUTO_TEST_CASE(another_process_on_our_core_disturbs_once) {
  Machine machine;
  Pace pace(machine.sources());
  BOOST_TEST(pace.undisturbed());
  ++machine.preemptions;
  BOOST_TEST(!pace.undisturbed());
  BOOST_TEST(pace.undisturbed());
}

BOOST_AUTO_TEST_CASE(a_moment_now_and_then_is_the_systems_own) {
  Machine machine;
  Pace pace(machine.sources());
  BOOST_TEST(pace.undisturbed());
  machine.time += 0.041;
  machine.preemptions += 2;
  BOOST_TEST(pace.undisturbed());
  machine.time += 0.041;
  machine.preemptions += 3;
  BOOST_TEST(!pace.undisturbed());
}

BOOST_AUTO_TEST_CASE(a_processor_that_stays_slow_is_no_neighbour_after_half_a_minute) {
  Machine machine;
  Pace pace(machine.sources());
  BOOST_TEST(pace.undisturbed());
  machine.slowness = 1.6;
  machine.time += 16;
  BOOST_TEST(!pace.undisturbed());
  machine.time += 16;
  BOOST_TEST(pace.undisturbed());
}

BOOST_AUTO_TEST_SUITE_END()
