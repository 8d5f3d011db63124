// The library's convolutions by name.
#include "cpu/conv_part.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

using namespace descent;

namespace {

struct Library {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  Onednn onednn{engine, dnnl::stream(engine)};
  ConvProblem problem;

  Library() {
    problem.op.out = 4;
    problem.op.kernel = {3, 3};
    problem.op.padding = {1, 1};
    problem.source = {8, 1, 7, 7};
    problem.destination = {8, 4, 7, 7};
  }
  [[nodiscard]] std::vector<std::string> names(std::size_t most = 6) const {
    return library_implementations(onednn, problem, Direction::forward, {nhwc, nhwc, {}}, most);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(conv_part)

BOOST_AUTO_TEST_CASE(a_name_makes_the_same_implementation_whatever_has_been_made) {
  const Library library;
  std::vector<std::string> names = library.names();
  BOOST_REQUIRE(!names.empty());
  std::vector<std::string> backwards(names.rbegin(), names.rend());
  for (const auto& order : {names, backwards}) {
    for (const std::string& name : order) {
      const auto part =
          make_library_part(library.onednn, library.problem, Direction::forward, {nhwc, nhwc, name});
      BOOST_REQUIRE(part != nullptr);
      BOOST_TEST(part->implementation() == name);
    }
  }
  std::vector<std::string> after = library.names();
  std::ranges::sort(names);
  std::ranges::sort(after);
  BOOST_TEST(after == names, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(names_are_listed_once_and_no_more_than_asked_for) {
  const Library library;
  std::vector<std::string> names = library.names();
  BOOST_TEST(library.names(1).size() == 1U);
  std::ranges::sort(names);
  BOOST_TEST((std::ranges::adjacent_find(names) == names.end()));
}

BOOST_AUTO_TEST_CASE(without_a_name_the_librarys_first_is_made_and_an_unknown_one_is_not) {
  const Library library;
  const auto make = [&](const std::string& name) {
    return make_library_part(library.onednn, library.problem, Direction::forward, {nhwc, nhwc, name});
  };
  BOOST_TEST((make("") != nullptr));
  BOOST_TEST((make("jit:none") == nullptr));
}

BOOST_AUTO_TEST_SUITE_END()
