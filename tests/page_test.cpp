// Pages are whole in one file, carry any text unharmed, and keep their numbers.
#include "report/page.h"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {

using descent::report::Chart;
using descent::report::Facts;
using descent::report::Page;
using descent::report::page_text;
using descent::report::Pictures;
using descent::report::Table;

// What page.js reads.
nlohmann::json data_of(const std::string& page) {
  const std::string begin = "id=\"page-data\">";
  const std::size_t at = page.find(begin);
  BOOST_REQUIRE(at != std::string::npos);
  const std::size_t first = at + begin.size();
  return nlohmann::json::parse(page.substr(first, page.find("</script>", first) - first));
}

Page page_of(descent::report::Item item) {
  return {.title = "A page", .sections = {{.id = "one", .title = "One", .items = {std::move(item)}}}};
}

nlohmann::json item_of(const Page& page) {
  return data_of(page_text(page)).at("sections").at(0).at("items").at(0);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(page)

BOOST_AUTO_TEST_CASE(is_one_file_that_needs_no_other) {
  const std::string text = page_text(page_of(Facts{.facts = {{"a", "b"}}}));
  BOOST_TEST(text.starts_with("<!DOCTYPE html>"));
  BOOST_TEST(text.ends_with("</html>\n"));
  for (const std::string attribute : {"src=", "href=", "url(", "@import"}) {
    for (const std::string quote : {"", "\"", "'"}) {
      BOOST_TEST(text.find(attribute + quote + "http") == std::string::npos);
      BOOST_TEST(text.find(attribute + quote + "//") == std::string::npos);
    }
  }
  BOOST_TEST(text.find("default-src 'none'") != std::string::npos);
  BOOST_TEST(text.find("Chart.js v3") != std::string::npos);
  BOOST_TEST(text.find("lang=\"en\"") != std::string::npos);
  BOOST_TEST(text.find("<noscript>") != std::string::npos);
  BOOST_TEST(text.find("{{") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(carries_any_text_without_becoming_markup) {
  const std::string nasty = "</script><script>alert('1')</script><!-- \" & \\ {{data}} {{css}} \xE2\x80\xA8 é";
  Page page = page_of(Table{.title = nasty, .header = {nasty}, .rows = {{nasty}}});
  page.title = nasty;
  page.sections.front().text = nasty;
  const std::string plain = page_text(page_of(Table{}));
  const std::string text = page_text(page);
  BOOST_TEST(count(text, "<script") == count(plain, "<script"));
  BOOST_TEST(count(text, "</script") == count(plain, "</script"));
  BOOST_TEST(count(text, "<!--") == count(plain, "<!--"));
  BOOST_TEST(count(text, "\xE2\x80\xA8") == 1U);  // in <title>, where it is harmless
  const nlohmann::json data = data_of(text);
  BOOST_TEST(data.at("title").get<std::string>() == nasty);
  const nlohmann::json& section = data.at("sections").at(0);
  BOOST_TEST(section.at("text").get<std::string>() == nasty);
  BOOST_TEST(section.at("items").at(0).at("header").at(0).get<std::string>() == nasty);
  BOOST_TEST(section.at("items").at(0).at("rows").at(0).at(0).get<std::string>() == nasty);
}

BOOST_AUTO_TEST_CASE(replaces_what_is_not_utf8) {
  const nlohmann::json item = item_of(page_of(Facts{.facts = {{"name", "caf\xE9"}}}));
  BOOST_TEST(item.at("facts").at(0).at(1).get<std::string>() == "caf\xEF\xBF\xBD");
}

BOOST_AUTO_TEST_CASE(writes_values_that_are_not_finite_as_gaps) {
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  const nlohmann::json item = item_of(page_of(Chart{
      .title = "c", .series = {{.label = "s", .x = {0, 1, 2, 3}, .y = {nan, infinity, -infinity, 0.5}}}}));
  BOOST_TEST(item.at("series").at(0).at("y").dump() == "[null,null,null,0.5]");
}

BOOST_AUTO_TEST_CASE(keeps_five_digits_of_values_and_every_digit_of_steps) {
  const Page page =
      page_of(Chart{.title = "c", .series = {{.label = "s", .x = {12345678}, .y = {1.23456789e-7}}}});
  const nlohmann::json data = data_of(page_text(page));
  BOOST_TEST(data.at("places").at(0).at(0).get<double>() == 12345678.0);
  const double value =
      data.at("sections").at(0).at("items").at(0).at("series").at(0).at("y").at(0).get<double>();
  BOOST_TEST(value == 1.2346e-7);
}

BOOST_AUTO_TEST_CASE(writes_places_that_series_share_once) {
  const std::vector<double> x{0, 1, 2};
  const Page page = page_of(Chart{.title = "c",
                                  .series = {{.label = "a", .x = x, .y = x},
                                             {.label = "b", .x = {0, 5, 9}, .y = x},
                                             {.label = "c", .x = x, .y = x}}});
  const nlohmann::json data = data_of(page_text(page));
  const nlohmann::json& series = data.at("sections").at(0).at("items").at(0).at("series");
  BOOST_TEST(data.at("places").size() == 2U);
  BOOST_TEST(series.at(0).at("x").get<int>() == 0);
  BOOST_TEST(series.at(1).at("x").get<int>() == 1);
  BOOST_TEST(series.at(2).at("x").get<int>() == 0);
}

BOOST_AUTO_TEST_CASE(embeds_pictures_as_base64) {
  const auto sprite = [](const std::string& bytes) {
    return item_of(page_of(Pictures{.title = "p", .png = bytes})).at("sprite").get<std::string>();
  };
  BOOST_TEST(sprite("Man") == "data:image/png;base64,TWFu");
  BOOST_TEST(sprite("Ma") == "data:image/png;base64,TWE=");
  BOOST_TEST(sprite("M") == "data:image/png;base64,TQ==");
  BOOST_TEST(sprite("\xFB\xFF\xFE") == "data:image/png;base64,+//+");
}

BOOST_AUTO_TEST_SUITE_END()
