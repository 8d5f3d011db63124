// Pictures: what the decoder may see, and the rule that makes an input of a picture. The fixtures and the
// expected inputs are Pillow's, made by tests/data/pictures/make_pictures.py.
#include "descent/picture.h"

#include "byte_strings.h"
#include "descent/error.h"

#include <boost/test/unit_test.hpp>

#include <cstdlib>

namespace {

using descent::Error;
using descent::Picture;
using descent::PictureRule;
using descent::Resize;
using descent::Shape;
using Bytes = std::vector<std::uint8_t>;

const std::filesystem::path fixtures = std::filesystem::path(DESCENT_TEST_DATA) / "pictures";

Picture fixture(const std::string& name) {
  return descent::read_picture(fixtures / name);
}

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Bytes expected(const std::string& name) {
  const std::string content = read_bytes(fixtures / name);
  return {content.begin(), content.end()};
}

int largest_difference(const Bytes& a, const Bytes& b) {
  BOOST_REQUIRE_EQUAL(a.size(), b.size());
  int largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

// The input of a picture of 1×2 or so, where the network takes just that size.
Bytes as_is(const Picture& picture, std::int64_t channels) {
  return descent::to_input(picture, Shape{channels, picture.height, picture.width}, PictureRule{});
}

void refuses(const std::string& name, const std::string& what) {
  BOOST_TEST_CONTEXT(name) {
    BOOST_CHECK_EXCEPTION((void)fixture(name), Error, [&](const Error& error) {
      const std::string message = error.what();
      BOOST_TEST(message.find((fixtures / name).string()) != std::string::npos, message);
      BOOST_TEST(message.find(what) != std::string::npos, message);
      BOOST_TEST(error.exit_code() == 2);
      return true;
    });
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(picture)

BOOST_AUTO_TEST_CASE(png_and_bmp_of_one_picture_decode_to_the_same_pixels) {
  const Picture png = fixture("rgb_37x23.png");
  BOOST_TEST(png.width == 37);
  BOOST_TEST(png.height == 23);
  BOOST_TEST(png.channels == 3);
  BOOST_TEST(png.bytes.size() == 37U * 23U * 3U);
  BOOST_TEST(fixture("rgb_37x23.bmp").bytes == png.bytes);
}

BOOST_AUTO_TEST_CASE(jpeg_decodes_as_by_libjpeg_but_for_rounding) {
  BOOST_TEST(largest_difference(fixture("rgb_37x23.jpg").bytes, fixture("rgb_37x23_jpeg_decoded.png").bytes) <=
             3);
  BOOST_TEST(largest_difference(fixture("progressive_37x23.jpg").bytes,
                                fixture("progressive_37x23_decoded.png").bytes) <= 4);
  BOOST_TEST(fixture("grey_20x30.jpg").channels == 1);
}

BOOST_AUTO_TEST_CASE(interlaced_png_decodes_as_the_plain_one) {
  BOOST_TEST(fixture("interlaced_9x7.png").bytes == fixture("interlaced_9x7_plain.png").bytes);
}

BOOST_AUTO_TEST_CASE(sixteen_bits_become_the_upper_eight) {
  BOOST_TEST(as_is(fixture("rgb16_2x1.png"), 3) == (Bytes{0x12, 0x00, 0xab, 0x80, 0xff, 0x01}));
  BOOST_TEST(as_is(fixture("grey16_3x1.png"), 1) == (Bytes{0x00, 0x7f, 0xff}));
}

BOOST_AUTO_TEST_CASE(palettes_are_looked_up) {
  BOOST_TEST(as_is(fixture("palette_2x2.png"), 3) == (Bytes{255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255}));
}

BOOST_AUTO_TEST_CASE(transparency_is_laid_over_white) {
  BOOST_TEST(as_is(fixture("rgba_2x2.png"), 3) ==
             (Bytes{255, 255, 255, 204, 0, 127, 255, 204, 0, 127, 255, 255}));
  BOOST_TEST(as_is(fixture("grey_alpha_2x2.png"), 1) == (Bytes{0, 127, 255, 244}));
  BOOST_TEST(as_is(fixture("palette_transparent_2x2.png"), 3) ==
             (Bytes{255, 255, 0, 255, 0, 255, 0, 255, 0, 255, 255, 255}));
}

BOOST_AUTO_TEST_CASE(grey_inputs_weigh_red_green_and_blue) {
  // 0.299 · 12 + 0.587 · 200 + 0.114 · 77 = 129.77
  BOOST_TEST(as_is(fixture("one_1x1.png"), 1) == (Bytes{130}));
  // red 76.245; half red over white 165.9; transparent white; blue of 20 % over white 209.8
  BOOST_TEST(as_is(fixture("rgba_2x2.png"), 1) == (Bytes{76, 165, 255, 210}));
}

BOOST_AUTO_TEST_CASE(colour_inputs_repeat_a_grey_picture_three_times) {
  const Picture grey = fixture("grey_20x30.png");
  const Bytes input = as_is(grey, 3);
  for (std::size_t c = 0; c < 3; ++c) {
    BOOST_TEST(
        std::equal(grey.bytes.begin(), grey.bytes.end(), input.begin() + static_cast<std::ptrdiff_t>(c * 600)));
  }
}

BOOST_AUTO_TEST_CASE(a_grey_picture_of_the_right_size_is_used_as_it_is) {
  const Picture grey = fixture("grey_20x30.png");
  for (const Resize resize : {Resize::fit, Resize::squash, Resize::imagenet}) {
    BOOST_TEST(descent::to_input(grey, Shape{1, 30, 20}, {resize, false}) == grey.bytes);
  }
}

BOOST_AUTO_TEST_CASE(inverting_turns_black_to_white) {
  const Picture drawing{.height = 1, .width = 3, .channels = 1, .bytes = {0, 100, 255}};
  BOOST_TEST(descent::to_input(drawing, Shape{1, 1, 3}, {Resize::fit, true}) == (Bytes{255, 155, 0}));
}

BOOST_AUTO_TEST_CASE(resizing_gives_pillows_bytes) {
  const Picture picture = fixture("rgb_37x23.png");
  const auto input = [&picture](Shape shape, Resize resize) {
    return descent::to_input(picture, shape, {resize, false});
  };
  BOOST_TEST(largest_difference(input({3, 8, 8}, Resize::fit), expected("expected_fit_3x8x8.bin")) <= 1);
  BOOST_TEST(largest_difference(input({1, 28, 28}, Resize::fit), expected("expected_fit_1x28x28.bin")) <= 1);
  BOOST_TEST(largest_difference(input({3, 10, 12}, Resize::squash), expected("expected_squash_3x10x12.bin")) <=
             1);
  BOOST_TEST(
      largest_difference(input({3, 14, 14}, Resize::imagenet), expected("expected_imagenet_3x14x14.bin")) <= 1);
}

BOOST_AUTO_TEST_CASE(fit_keeps_the_middle_of_wide_and_of_tall_pictures) {
  Picture bars{
      .height = 2, .width = 6, .channels = 1, .bytes = {0, 0, 50, 90, 255, 255, 0, 0, 50, 90, 255, 255}};
  BOOST_TEST(descent::to_input(bars, Shape{1, 2, 2}, PictureRule{}) == (Bytes{50, 90, 50, 90}));
  bars = {.height = 6, .width = 2, .channels = 1, .bytes = {0, 0, 0, 0, 50, 90, 60, 80, 255, 255, 255, 255}};
  BOOST_TEST(descent::to_input(bars, Shape{1, 2, 2}, PictureRule{}) == (Bytes{50, 90, 60, 80}));
}

BOOST_AUTO_TEST_CASE(one_pixel_becomes_an_even_input) {
  const Bytes input = descent::to_input(fixture("one_1x1.png"), Shape{1, 28, 28}, PictureRule{});
  BOOST_TEST(input == Bytes(784, 130));
}

BOOST_AUTO_TEST_CASE(the_longest_pictures_are_resized_without_much_memory) {
  const Picture line{.height = 1, .width = 65535, .channels = 1, .bytes = Bytes(65535, 77)};
  for (const Resize resize : {Resize::fit, Resize::squash, Resize::imagenet}) {
    BOOST_TEST(descent::to_input(line, Shape{3, 224, 224}, {resize, false}) ==
               Bytes(std::size_t{3} * 224 * 224, 77));
  }
}

BOOST_AUTO_TEST_CASE(networks_that_take_no_picture_are_refused) {
  const Picture picture = fixture("one_1x1.png");
  BOOST_CHECK_THROW((void)descent::to_input(picture, Shape{2, 4, 4}, PictureRule{}), Error);
  BOOST_CHECK_THROW((void)descent::to_input(picture, Shape{784}, PictureRule{}), Error);
}

BOOST_AUTO_TEST_CASE(truncated_pictures_are_refused) {
  refuses("truncated.png", "cut short");
  refuses("truncated.jpg", "cut short");
  refuses("truncated.bmp", "cut short");
}

BOOST_AUTO_TEST_CASE(any_truncation_is_refused) {
  for (const char* name : {"rgb_37x23.png", "rgb_37x23.jpg", "progressive_37x23.jpg", "rgb_37x23.bmp"}) {
    const std::string whole = read_bytes(fixtures / name);
    for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 97) {
      BOOST_TEST_CONTEXT(name << " of " << size << " bytes") {
        BOOST_CHECK_THROW((void)descent::decode_picture(bytes_of(whole).first(size), name), Error);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_png_with_a_wrong_checksum_is_refused) {
  std::string png = read_bytes(fixtures / "rgb_37x23.png");
  png[png.size() / 2] = static_cast<char>(png[png.size() / 2] ^ 4);
  BOOST_CHECK_EXCEPTION(
      (void)descent::decode_picture(bytes_of(png), "flipped.png"), Error,
      [](const Error& error) { return std::string(error.what()).find("checksum") != std::string::npos; });
}

BOOST_AUTO_TEST_CASE(a_jpeg_whose_huffman_table_has_too_many_codes_is_refused) {
  std::string jpeg = read_bytes(fixtures / "rgb_37x23.jpg");
  const std::size_t table = jpeg.find("\xff\xc4");
  BOOST_REQUIRE(table != std::string::npos);
  jpeg.replace(table + 5, 2, "\xff\xff");
  BOOST_CHECK_EXCEPTION(
      (void)descent::decode_picture(bytes_of(jpeg), "table.jpg"), Error, [](const Error& error) {
        return std::string(error.what()).find("Huffman table is damaged") != std::string::npos;
      });
}

BOOST_AUTO_TEST_CASE(a_png_that_inflates_to_more_than_its_size_is_refused) {
  refuses("bomb_1x1.png", "more data than its size allows");
}

BOOST_AUTO_TEST_CASE(too_many_pixels_are_refused_before_decoding) {
  refuses("too_many_pixels.png", "10000×10000 pixels; at most 64 million");
}

BOOST_AUTO_TEST_CASE(too_large_a_file_is_refused_before_it_is_read) {
  const std::vector<std::uint8_t> large(64'000'001, 0);
  BOOST_CHECK_EXCEPTION((void)descent::decode_picture(large, "large.png"), Error, [](const Error& error) {
    return std::string(error.what()).find("at most 64000000") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(what_is_no_picture_is_refused) {
  BOOST_CHECK_THROW((void)descent::decode_picture({}, "empty"), Error);
  BOOST_CHECK_THROW((void)descent::decode_picture(bytes_of("GIF89a and more"), "x.gif"), Error);
  BOOST_CHECK_THROW((void)descent::read_picture(fixtures / "missing.png"), Error);
  BOOST_CHECK_THROW((void)descent::read_picture(fixtures), Error);
}

BOOST_AUTO_TEST_CASE(pictures_are_known_by_their_ending) {
  for (const char* name : {"a.jpg", "a.JPEG", "b.Png", "dir.x/c.bmp"})
    BOOST_TEST(descent::looks_like_picture(name));
  for (const char* name : {"a.gif", "png", ".png", "a.png.txt", "a"})
    BOOST_TEST(!descent::looks_like_picture(name));
}

BOOST_AUTO_TEST_CASE(random_damage_gives_an_error_or_a_picture_but_never_a_crash) {
  for (const char* name : {"rgb_37x23.png", "palette_transparent_2x2.png", "interlaced_9x7.png",
                           "rgb_37x23.jpg", "progressive_37x23.jpg", "grey_20x30.jpg", "rgb_37x23.bmp"}) {
    const std::string whole = read_bytes(fixtures / name);
    for (std::uint64_t i = 0; i < 300; ++i) {
      const std::string bytes = damaged(whole, i);
      try {
        const Picture picture = descent::decode_picture(bytes_of(bytes), name);
        BOOST_REQUIRE(picture.bytes.size() ==
                      static_cast<std::size_t>(picture.width * picture.height * picture.channels));
      } catch (const Error& error) {
        BOOST_REQUIRE(std::string(error.what()).find(name) != std::string::npos);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
