#include "cuda/divider.h"

#include <boost/test/unit_test.hpp>

namespace descent::test {

BOOST_AUTO_TEST_SUITE(divider)

BOOST_AUTO_TEST_CASE(multiplying_divides_every_number_as_dividing_does) {
  constexpr int largest = (1 << 30) - 1 + (1 << 30);
  for (const int by :
       {1, 2, 3, 7, 9, 14, 49, 784, 1000, 65535, 65537, 1 << 20, (1 << 30) - 1, 1 << 30, largest}) {
    const Divider divider(by);
    for (int number = 0; number < 100000; ++number) BOOST_REQUIRE_EQUAL(divider.quotient(number), number / by);
    for (int apart = 0; apart < 1000; ++apart)
      BOOST_REQUIRE_EQUAL(divider.quotient(largest - apart), (largest - apart) / by);
    for (int multiple = by; multiple <= largest - by; multiple += by) {
      if (multiple / by > 1000) break;
      BOOST_REQUIRE_EQUAL(divider.quotient(multiple - 1), multiple / by - 1);
      BOOST_REQUIRE_EQUAL(divider.quotient(multiple), multiple / by);
    }
  }
  BOOST_TEST(Divider().quotient(12345) == 12345);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
