#include "plan/arena.h"

#include <boost/test/unit_test.hpp>

#include <array>
#include <vector>

using descent::ArenaPlan;
using descent::Lifetime;
using descent::plan_arena;

BOOST_AUTO_TEST_SUITE(arena)

BOOST_AUTO_TEST_CASE(ranges_alive_at_the_same_time_do_not_overlap) {
  std::vector<Lifetime> lifetimes;
  for (std::size_t i = 0; i < 200; ++i) {
    const std::size_t first = (i * 37) % 90;
    lifetimes.push_back({(i * 7919) % 5000, first, first + (i * 13) % 17});
  }
  const ArenaPlan plan = plan_arena(lifetimes);
  for (std::size_t a = 0; a < lifetimes.size(); ++a) {
    BOOST_TEST(plan.offsets[a] % descent::arena_alignment == 0U);
    BOOST_TEST(plan.offsets[a] + lifetimes[a].bytes <= plan.bytes);
    for (std::size_t b = a + 1; b < lifetimes.size(); ++b) {
      const bool in_time = lifetimes[a].first <= lifetimes[b].last && lifetimes[b].first <= lifetimes[a].last;
      const bool in_space = plan.offsets[a] < plan.offsets[b] + lifetimes[b].bytes &&
                            plan.offsets[b] < plan.offsets[a] + lifetimes[a].bytes;
      BOOST_TEST(!(in_time && in_space));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_chain_needs_only_its_two_largest_neighbours) {
  const std::array chain{Lifetime{640, 0, 1}, Lifetime{640, 1, 2}, Lifetime{640, 2, 3}, Lifetime{640, 3, 4}};
  BOOST_TEST(plan_arena(chain).bytes == 1536U);  // twice 640, rounded up to the alignment
}

BOOST_AUTO_TEST_CASE(nothing_needs_nothing) {
  BOOST_TEST(plan_arena({}).bytes == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
