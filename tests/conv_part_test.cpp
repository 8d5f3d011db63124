// The library's convolutions by rank.
#include "cpu/conv_part.h"

#include <boost/test/unit_test.hpp>
#include <optional>
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
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (int rank = 0; rank < 6; ++rank) {
      all.push_back(
          ConvPart::implementation_of(onednn, problem, Direction::forward, {nhwc, nhwc, rank}).value_or(""));
    }
    return all;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(conv_part)

BOOST_AUTO_TEST_CASE(a_rank_names_the_same_implementation_whatever_has_been_made) {
  const Library library;
  const std::vector<std::string> before = library.names();
  BOOST_TEST(!before.front().empty());
  for (int rank = 0; rank < 6; ++rank) {
    const auto part = ConvPart::make(library.onednn, library.problem, Direction::forward, {nhwc, nhwc, rank});
    BOOST_TEST((part ? part->implementation() : "") == before.at(static_cast<std::size_t>(rank)));
    BOOST_TEST(library.names() == before, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()
