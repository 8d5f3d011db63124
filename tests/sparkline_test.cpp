// A curve as a row of characters.
#include "base/sparkline.h"

#include <boost/test/unit_test.hpp>

#include <initializer_list>
#include <limits>
#include <string>

using descent::Sparkline;

namespace {

Sparkline of(std::initializer_list<double> values) {
  Sparkline line;
  for (const double value : values) line.add(value);
  return line;
}

Sparkline counting(int values) {
  Sparkline line;
  for (int i = 0; i < values; ++i) line.add(i);
  return line;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sparkline)

BOOST_AUTO_TEST_CASE(values_stand_between_the_lowest_and_the_highest) {
  BOOST_TEST(of({0, 1, 2, 3, 4, 5, 6, 7, 8}).text(9, true) == "▁▂▃▄▅▆▇██");
  BOOST_TEST(of({0, 1, 2, 3, 4, 5, 6, 7, 8}).text(9, false) == ".:-=+*#@@");
  BOOST_TEST(of({5, -3, 5}).text(9, true) == "█▁█");
  BOOST_TEST(of({2, 2}).text(9, true) == "▁▁");
  BOOST_TEST(of({}).text(9, true).empty());
  BOOST_TEST(of({1, 2}).text(0, true).empty());
}

BOOST_AUTO_TEST_CASE(more_values_than_characters_are_averaged_in_groups) {
  BOOST_TEST(of({0, 0, 1, 1, 0, 1}).text(3, false) == ".@+");
  BOOST_TEST(of({0, 0, 1, 1, 1}).text(3, false) == ".@@");  // the last group is not full yet
}

BOOST_AUTO_TEST_CASE(of_a_long_series_the_end_is_shown_in_groups_of_ten) {
  Sparkline line = counting(1000);
  BOOST_TEST(line.text(8, false) == ".:-=+*#@");
  BOOST_TEST(line.text(100, false).size() <= Sparkline::most_cells);
  for (int i = 0; i < 70; ++i) line.add(0);
  BOOST_TEST(line.text(8, false) == "@.......");
}

BOOST_AUTO_TEST_CASE(groups_keep_their_borders_while_the_series_grows) {
  Sparkline line;
  for (int i = 0; i < 2000; ++i) {
    line.add(i / 10 % 2);  // groups of ten equal values
    const std::string text = line.text(8, false);
    if (i > 100) BOOST_TEST(text.find_first_not_of(".@") == std::string::npos, i << ": " << text);
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_is_blank) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  BOOST_TEST(of({0, nan, 1, 1 / 0.0}).text(4, true) == "▁ █ ");
}

BOOST_AUTO_TEST_SUITE_END()
