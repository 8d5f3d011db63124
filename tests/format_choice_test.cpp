#include "cpu/format_choice.h"

#include "cpu/layouts.h"

#include <boost/test/unit_test.hpp>

#include <deque>
#include <vector>

using namespace descent;

namespace {

// Units in a row or with branches, each with one output; only values and shapes matter here.
class Rig {
 public:
  void add(std::vector<ValueId> inputs, std::vector<UnitCandidate> candidates, bool is_sole_reader = false) {
    alone_.push_back(is_sole_reader);
    Unit& unit = units_.emplace_back();
    unit.inputs = std::move(inputs);
    unit.output = units_.size();
    candidates_.push_back(std::move(candidates));
  }

  std::vector<std::size_t> choose(double seconds_a_reorder) {
    std::vector<KernelRequest> requests;
    for (const Unit& unit : units_) {
      KernelRequest request{unit, plan_, {}, {}, {}, {alone_[requests.size()]}};
      request.inputs.assign(unit.inputs.size(), TensorDesc{DType::f32, {2, 16, 4, 4}});
      request.input_gradients.assign(unit.inputs.size(), false);
      requests.push_back(std::move(request));
    }
    return choose_formats(requests, candidates_, [&](const TensorDesc& from, Format to, bool) {
      return from.format() == to ? 0.0 : seconds_a_reorder;
    });
  }

 private:
  PlanRequest plan_;
  std::deque<Unit> units_;
  std::vector<bool> alone_;
  std::vector<std::vector<UnitCandidate>> candidates_;
};

// Reads and writes everything in one layout.
UnitCandidate in(Layout layout, double seconds, std::size_t inputs = 1) {
  const Format format{DType::f32, layout};
  return {std::vector<Format>(inputs, format), format, seconds};
}

// The same, and neighbours of this kind spare each other a part of it.
UnitCandidate sparing(Layout layout, double seconds, double spares) {
  UnitCandidate candidate = in(layout, seconds);
  candidate.spares = spares;
  candidate.takes_over = true;
  return candidate;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(format_choice)

BOOST_AUTO_TEST_CASE(a_faster_layout_is_taken_when_it_pays_for_its_reorders) {
  Rig rig;
  rig.add({0}, {in(nchw, 1), in(nhwc, 1)});
  rig.add({1}, {in(nchw, 9), in(nhwc, 1)});
  rig.add({2}, {in(nchw, 1), in(nhwc, 1)});
  BOOST_TEST(rig.choose(1)[1] == 1U);
}

BOOST_AUTO_TEST_CASE(a_faster_layout_is_left_when_its_reorders_cost_more) {
  Rig rig;
  rig.add({0}, {in(nchw, 1), in(nhwc, 5)});
  rig.add({1}, {in(nchw, 3), in(nhwc, 1)});
  rig.add({2}, {in(nchw, 1), in(nhwc, 5)});
  BOOST_TEST(rig.choose(2) == (std::vector<std::size_t>{0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(a_chain_changes_as_a_whole_where_no_single_change_would_pay) {
  Rig rig;
  for (ValueId unit = 0; unit < 8; ++unit) rig.add({unit}, {in(nchw, 2), in(nhwc, 1.5)});
  BOOST_TEST(rig.choose(3) == std::vector<std::size_t>(8, 1));
}

BOOST_AUTO_TEST_CASE(branches_that_meet_agree_on_a_layout) {
  Rig rig;
  rig.add({0}, {in(nchw, 5), in(nhwc, 1)});
  rig.add({1}, {in(nchw, 1), in(nhwc, 1)});
  rig.add({1}, {in(nchw, 1), in(nhwc, 1)});
  rig.add({2, 3}, {in(nchw, 1, 2), in(nhwc, 1, 2)});
  BOOST_TEST(rig.choose(1) == std::vector<std::size_t>(4, 1));
}

BOOST_AUTO_TEST_CASE(what_a_sole_reader_takes_over_counts) {
  Rig rig;
  rig.add({0}, {in(nchw, 5), sparing(n16chw, 6, 2)});
  rig.add({1}, {in(nchw, 5), sparing(n16chw, 6, 2)}, true);
  BOOST_TEST(rig.choose(0.5) == (std::vector<std::size_t>{0, 0}));  // the last one's output has no such reader
  rig.add({2}, {in(nchw, 1), sparing(n16chw, 1, 0)}, true);
  BOOST_TEST(rig.choose(0.5) == (std::vector<std::size_t>{1, 1, 1}));
}

BOOST_AUTO_TEST_CASE(one_reader_of_several_takes_nothing_over) {
  Rig rig;
  rig.add({0}, {in(nchw, 5), sparing(n16chw, 6, 2)});
  rig.add({1}, {in(nchw, 1), sparing(n16chw, 1, 0)});
  rig.add({1}, {in(nchw, 1), sparing(n16chw, 1, 0)});
  BOOST_TEST(rig.choose(0.5) == (std::vector<std::size_t>{0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(nothing_is_taken_over_through_a_reorder) {
  Rig rig;
  rig.add({0}, {in(nchw, 5), sparing(n16chw, 6, 2)});
  rig.add({1}, {sparing(nhwc, 1, 0)}, true);
  BOOST_TEST(rig.choose(0.5) == (std::vector<std::size_t>{0, 0}));
}

BOOST_AUTO_TEST_SUITE_END()
