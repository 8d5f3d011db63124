// PNG files and sheets of pictures: what is written is what a decoder reads.
#include "data/write_picture.h"

#include "descent/error.h"
#include "temporary_folder.h"

#include <boost/test/unit_test.hpp>

#include <numeric>
#include <string>
#include <vector>

namespace {

using descent::Error;
using descent::Picture;
using descent::Shape;
using Bytes = std::vector<std::uint8_t>;

// Pixels that repeat nowhere soon: every filter of the encoder has something to do.
Picture make_picture(std::int64_t height, std::int64_t width, std::int64_t channels) {
  Picture picture{.height = height, .width = width, .channels = channels, .bytes = {}};
  for (std::int64_t i = 0; i < height * width * channels; ++i) {
    picture.bytes.push_back(static_cast<std::uint8_t>((i * i * 7 + i / 3) % 251));
  }
  return picture;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(write_picture)

BOOST_AUTO_TEST_CASE(a_png_file_is_read_back_pixel_by_pixel) {
  const TemporaryFolder folder;
  for (const std::int64_t channels : {1, 3}) {
    for (const auto& [height, width] :
         {std::pair{1, 1}, std::pair{1, 17}, std::pair{23, 1}, std::pair{13, 29}, std::pair{300, 200}}) {
      const Picture picture = make_picture(height, width, channels);
      write_text(folder / "picture.png", descent::png_bytes(picture));
      const Picture read = descent::read_picture(folder / "picture.png");
      BOOST_TEST_CONTEXT(height << "×" << width << ", " << channels << " channels") {
        BOOST_TEST(read.height == picture.height);
        BOOST_TEST(read.width == picture.width);
        BOOST_TEST(read.channels == picture.channels);
        BOOST_CHECK(read.bytes == picture.bytes);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_grey_or_rgb_picture_is_refused) {
  BOOST_CHECK_THROW((void)descent::png_bytes(make_picture(2, 2, 2)), Error);
  BOOST_CHECK_THROW((void)descent::png_bytes(make_picture(2, 2, 4)), Error);
  BOOST_CHECK_THROW((void)descent::png_bytes(make_picture(0, 5, 1)), Error);
  Picture short_of_one = make_picture(2, 2, 3);
  short_of_one.bytes.pop_back();
  BOOST_CHECK_THROW((void)descent::png_bytes(short_of_one), Error);
  BOOST_CHECK_THROW((void)descent::png_bytes({.height = 1 << 20, .width = 1 << 20, .channels = 1, .bytes = {}}),
                    Error);
}

BOOST_AUTO_TEST_CASE(a_sheet_lays_tiles_out_in_rows_and_leaves_the_rest_black) {
  Bytes tiles(12);
  std::iota(tiles.begin(), tiles.end(), std::uint8_t{1});
  const Picture sheet = descent::picture_sheet(tiles, Shape{1, 2, 2}, 2);
  BOOST_TEST(sheet.height == 4);
  BOOST_TEST(sheet.width == 4);
  BOOST_TEST(sheet.channels == 1);
  const Bytes expected{1, 2, 5, 6, 3, 4, 7, 8, 9, 10, 0, 0, 11, 12, 0, 0};
  BOOST_TEST(sheet.bytes == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(planes_of_three_channels_become_red_green_and_blue) {
  const Bytes tiles{1, 2, 11, 12, 21, 22, 3, 4, 13, 14, 23, 24};
  const Picture sheet = descent::picture_sheet(tiles, Shape{3, 1, 2}, 2);
  BOOST_TEST(sheet.channels == 3);
  const Bytes expected{1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24};
  BOOST_TEST(sheet.bytes == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(of_any_other_number_of_channels_the_first_is_shown) {
  const Picture sheet = descent::picture_sheet(Bytes{1, 2, 11, 12, 3, 4, 13, 14}, Shape{2, 1, 2}, 1);
  BOOST_TEST(sheet.channels == 1);
  BOOST_TEST(sheet.bytes == (Bytes{1, 2, 3, 4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(sheets_of_large_pictures_have_fewer_tiles_but_a_row) {
  BOOST_TEST(descent::tiles_of_sheet({3, 28, 28}, 8, 64) == 64U);
  BOOST_TEST(descent::tiles_of_sheet({3, 500, 500}, 8, 64) == 32U);
  BOOST_TEST(descent::tiles_of_sheet({3, 500, 500}, 6, 24) == 24U);
  BOOST_TEST(descent::tiles_of_sheet({1, 4000, 4000}, 8, 64) == 8U);
}

BOOST_AUTO_TEST_SUITE_END()
