// Which views of the training pictures an epoch shows.
#include "descent/augment.h"
#include "descent/error.h"

#include <boost/test/unit_test.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

using namespace descent;

namespace boost::test_tools::tt_detail {

template <>
struct print_log_value<PictureView> {
  void operator()(std::ostream& out, const PictureView& view) {
    out << view.down << ' ' << view.right << (view.mirrored ? " mirrored" : "");
  }
};

}  // namespace boost::test_tools::tt_detail

BOOST_AUTO_TEST_SUITE(augment)

BOOST_AUTO_TEST_CASE(without_augmentation_there_are_no_views) {
  BOOST_TEST(augmented_views({}, 42, 0, 0, 10).empty());
}

// From the same draws made in Python (Philox 4×32-10).
BOOST_AUTO_TEST_CASE(views_are_those_that_seed_epoch_and_position_give) {
  const std::vector<PictureView> first = augmented_views({.flip = true, .shift = 2}, 42, 0, 0, 8);
  const std::vector<PictureView> expected_first = {{-1, 2, false},  {-1, 2, false},  {-1, -2, false},
                                                   {-1, -2, false}, {-1, -2, false}, {1, 0, false},
                                                   {2, 2, true},    {1, 0, false}};
  BOOST_TEST(first == expected_first, boost::test_tools::per_element());
  const std::vector<PictureView> later = augmented_views({.flip = true, .shift = 2}, 42, 3, 5'000'000'000, 3);
  const std::vector<PictureView> expected_later = {{-2, 2, false}, {-1, 2, true}, {0, 1, true}};
  BOOST_TEST(later == expected_later, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(batches_of_any_size_show_the_same_views) {
  const Augmentation augmentation{.flip = true, .shift = 3};
  const std::vector<PictureView> whole = augmented_views(augmentation, 7, 2, 0, 100);
  std::vector<PictureView> pieces;
  for (const std::uint64_t first : {0U, 30U, 60U, 90U}) {
    const auto some = augmented_views(augmentation, 7, 2, first, first == 90 ? 10 : 30);
    pieces.insert(pieces.end(), some.begin(), some.end());
  }
  BOOST_TEST(pieces == whole, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(every_epoch_and_every_seed_shows_others) {
  const Augmentation augmentation{.flip = true, .shift = 3};
  const std::vector<PictureView> views = augmented_views(augmentation, 7, 0, 0, 100);
  BOOST_TEST((augmented_views(augmentation, 7, 1, 0, 100) != views));
  BOOST_TEST((augmented_views(augmentation, 8, 0, 0, 100) != views));
}

BOOST_AUTO_TEST_CASE(every_shift_is_as_likely_and_half_of_the_pictures_are_mirrored) {
  std::array<int, 9> shifts{};
  int mirrored = 0;
  constexpr int count = 9000;
  for (const PictureView& view : augmented_views({.flip = true, .shift = 1}, 1, 0, 0, count)) {
    ++shifts.at(static_cast<std::size_t>((view.down + 1) * 3 + view.right + 1));
    mirrored += view.mirrored ? 1 : 0;
  }
  // Five standard deviations of a binomial: √(9000 · 1/9 · 8/9) ≈ 30, √(9000 · 1/4) ≈ 47.
  for (const int times : shifts) BOOST_TEST(std::abs(times - count / 9) < 150);
  BOOST_TEST(std::abs(mirrored - count / 2) < 237);
}

BOOST_AUTO_TEST_CASE(a_flip_moves_nothing_and_a_shift_mirrors_nothing) {
  for (const PictureView& view : augmented_views({.flip = true}, 1, 0, 0, 50)) {
    BOOST_TEST((view.down == 0 && view.right == 0));
  }
  for (const PictureView& view : augmented_views({.shift = 4}, 1, 0, 0, 50)) BOOST_TEST(!view.mirrored);
}

BOOST_AUTO_TEST_CASE(a_shift_leaves_something_in_view) {
  BOOST_CHECK_NO_THROW(check_augmentation({.shift = 27}, {1, 28, 40}));
  const auto says_what = [](const Error& error) {
    return std::string(error.what()).find("0 to 27 pixels, not by 28") != std::string::npos;
  };
  BOOST_CHECK_EXCEPTION(check_augmentation({.shift = 28}, {1, 28, 40}), Error, says_what);
  BOOST_CHECK_THROW(check_augmentation({.shift = -1}, {1, 28, 28}), Error);
}

BOOST_AUTO_TEST_SUITE_END()
