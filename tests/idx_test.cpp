// IDX files: what is read, and that every damage is named in a sentence.
#include "byte_strings.h"
#include "descent/data.h"
#include "descent/error.h"
#include "temporary_folder.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <functional>

namespace {

using descent::Error;
using descent::PictureSet;

constexpr std::uint32_t picture_magic = 0x803;
constexpr std::uint32_t label_magic = 0x801;

std::string pictures_idx(std::uint32_t count, std::uint32_t height, std::uint32_t width) {
  std::string bytes = big_endian(picture_magic) + big_endian(count) + big_endian(height) + big_endian(width);
  for (std::uint32_t i = 0; i < count * height * width; ++i) bytes += static_cast<char>(i * 7 % 251);
  return bytes;
}

std::string labels_idx(const std::string& labels) {
  return big_endian(label_magic) + big_endian(static_cast<std::uint32_t>(labels.size())) + labels;
}

// One sentence that names `file` and says `what`.
std::function<bool(const Error&)> says(const std::string& file, const std::string& what) {
  return [=](const Error& error) {
    const std::string message = error.what();
    BOOST_TEST_MESSAGE(message);
    BOOST_TEST(error.exit_code() == 2);
    BOOST_TEST(message.find('\n') == std::string::npos);
    BOOST_TEST(message.find(file) != std::string::npos, "no '" << file << "' in: " << message);
    BOOST_TEST(message.find(what) != std::string::npos, "no '" << what << "' in: " << message);
    return true;
  };
}

struct Folder {
  TemporaryFolder folder;
  [[nodiscard]] std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    write_bytes(folder.path() / name, bytes);
    return folder.path() / name;
  }
  void refuses_pictures(const std::string& bytes, const std::string& what) const {
    const std::filesystem::path file = write("bad-images", bytes);
    BOOST_CHECK_EXCEPTION((void)descent::load_idx_pictures(file), Error, says(file.string(), what));
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(idx, Folder)

BOOST_AUTO_TEST_CASE(pictures_and_labels_are_read_in_file_order) {
  const PictureSet set =
      descent::load_idx_pair(write("p", pictures_idx(3, 4, 5)), write("l", labels_idx({2, 0, 1})));
  BOOST_TEST((set.shape == descent::Shape{1, 4, 5}));
  BOOST_TEST(set.size() == 3U);
  BOOST_TEST(set.labels == (std::vector<std::int32_t>{2, 0, 1}), boost::test_tools::per_element());
  BOOST_REQUIRE(set.pictures.size() == 60U);
  for (std::size_t i = 0; i < 60; ++i) BOOST_TEST(int{set.pictures[i]} == static_cast<int>(i * 7 % 251));
}

BOOST_AUTO_TEST_CASE(labels_above_127_are_not_negative) {
  const PictureSet set =
      descent::load_idx_pair(write("p", pictures_idx(1, 1, 1)), write("l", labels_idx("\xff")));
  BOOST_TEST(set.labels.at(0) == 255);
}

BOOST_AUTO_TEST_CASE(gzip_is_recognised_by_its_content_and_gives_the_same) {
  const std::string plain = pictures_idx(7, 9, 3);
  const PictureSet expected = descent::load_idx_pictures(write("p", plain));
  BOOST_TEST(descent::load_idx_pictures(write("p.gz", gzip(plain))).pictures == expected.pictures);
  BOOST_TEST(descent::load_idx_pictures(write("really-plain.gz", plain)).pictures == expected.pictures);
}

BOOST_AUTO_TEST_CASE(gzip_of_several_members_is_one_file) {
  const std::string plain = pictures_idx(7, 9, 3);
  const std::string members = gzip(plain.substr(0, 10)) + gzip(plain.substr(10, 90)) + gzip(plain.substr(100));
  const PictureSet set = descent::load_idx_pictures(write("p.gz", members));
  BOOST_TEST(set.pictures == descent::load_idx_pictures(write("p", plain)).pictures);
}

BOOST_AUTO_TEST_CASE(a_missing_file_a_folder_and_an_empty_file_are_refused) {
  const std::filesystem::path missing = folder.path() / "missing";
  BOOST_CHECK_EXCEPTION((void)descent::load_idx_pictures(missing), Error,
                        says(missing.string(), "No such file"));
  BOOST_CHECK_EXCEPTION((void)descent::load_idx_pictures(folder.path()), Error,
                        says(folder.path().string(), "not a file"));
  refuses_pictures("", "is empty");
}

BOOST_AUTO_TEST_CASE(a_file_that_is_not_idx_is_refused) {
  refuses_pictures("ab", "too short");
  refuses_pictures("hello, world, this is text", "not an IDX file");
  refuses_pictures(std::string("\0\0\x0d\x03", 4) + pictures_idx(1, 2, 2).substr(4), "type 0x0d");
  refuses_pictures(std::string("\0\0\x08\x04", 4) + pictures_idx(1, 2, 2).substr(4), "4 dimensions");
}

BOOST_AUTO_TEST_CASE(labels_given_as_pictures_and_the_other_way_round_are_refused) {
  refuses_pictures(labels_idx({1, 2}), "holds labels where pictures are needed");
  const std::filesystem::path pictures = write("p", pictures_idx(2, 2, 2));
  BOOST_CHECK_EXCEPTION((void)descent::load_idx_pair(pictures, pictures), Error,
                        says(pictures.string(), "holds pictures where labels are needed"));
}

BOOST_AUTO_TEST_CASE(a_file_shorter_or_longer_than_its_header_says_is_refused) {
  const std::string whole = pictures_idx(3, 4, 5);
  refuses_pictures(whole.substr(0, 9), "ends within its IDX header");
  refuses_pictures(whole.substr(0, whole.size() - 1), "cut short");
  refuses_pictures(whole.substr(0, 16), "cut short");
  refuses_pictures(whole + "x", "more bytes");
  refuses_pictures(gzip(whole.substr(0, whole.size() - 1)),
                   "cut short: its header promises 3×4×5 = 60 bytes, it has 59");
  refuses_pictures(gzip(whole + "x"), "more bytes");
}

BOOST_AUTO_TEST_CASE(sizes_of_zero_are_refused) {
  refuses_pictures(pictures_idx(0, 4, 5), "dimension of zero");
  refuses_pictures(pictures_idx(3, 0, 5), "dimension of zero");
  refuses_pictures(pictures_idx(3, 4, 0), "dimension of zero");
}

BOOST_AUTO_TEST_CASE(sizes_that_no_such_file_can_hold_are_refused_before_memory_is_taken) {
  const std::string huge = big_endian(picture_magic) + big_endian(0xffffffffU) + big_endian(0xffffffffU) +
                           big_endian(0xffffffffU) + "data";
  refuses_pictures(huge, "at most 2000000000");
  refuses_pictures(gzip(huge), "at most 2000000000");
  const std::string large = big_endian(picture_magic) + big_endian(1000) + big_endian(1000) + big_endian(1000);
  refuses_pictures(large + "data", "more than it holds");
  refuses_pictures(gzip(large + "data"), "more than it holds");
}

BOOST_AUTO_TEST_CASE(damaged_gzip_is_refused) {
  const std::string good = gzip(pictures_idx(30, 9, 9));
  refuses_pictures(good.substr(0, good.size() / 2), "gzip file that was cut short");
  refuses_pictures(good.substr(0, good.size() - 4), "gzip file that was cut short");
  refuses_pictures(good.substr(0, 2), "gzip file that was cut short");
  std::string wrong_sum = good;
  wrong_sum[good.size() - 8] = static_cast<char>(wrong_sum[good.size() - 8] ^ 1);
  refuses_pictures(wrong_sum, "damaged gzip file (incorrect data check)");
  std::string wrong_length = good;
  wrong_length[good.size() - 1] = static_cast<char>(wrong_length[good.size() - 1] ^ 1);
  refuses_pictures(wrong_length, "damaged gzip file (incorrect length check)");
  refuses_pictures(good + "trailing", "8 bytes after the end of its gzip data");
}

BOOST_AUTO_TEST_CASE(different_numbers_of_pictures_and_labels_are_refused_naming_both) {
  const std::filesystem::path pictures = write("p", pictures_idx(3, 2, 2));
  const std::filesystem::path labels = write("l", labels_idx({0, 1}));
  BOOST_CHECK_EXCEPTION((void)descent::load_idx_pair(pictures, labels), Error,
                        says(pictures.string(), "has 3 pictures but '" + labels.string() + "' has 2 labels"));
}

BOOST_AUTO_TEST_CASE(random_damage_gives_an_error_or_pictures_but_never_a_crash) {
  const std::string plain = pictures_idx(12, 5, 6);
  const std::string packed = gzip(plain);
  std::size_t refused = 0;
  for (std::uint64_t i = 0; i < 400; ++i) {
    const std::filesystem::path file = write("damaged", damaged(i % 2 == 0 ? plain : packed, i));
    try {
      const PictureSet set = descent::load_idx_pictures(file);
      BOOST_TEST(set.pictures.size() % static_cast<std::size_t>(set.shape.elements()) == 0U);
    } catch (const Error& error) {
      BOOST_TEST(std::string(error.what()).find(file.string()) != std::string::npos);
      ++refused;
    }
  }
  BOOST_TEST(refused > 200U);
}

BOOST_AUTO_TEST_SUITE_END()
