// Data sets by name and by folder, and the order in which an epoch visits them.
#include "byte_strings.h"
#include "descent/data.h"
#include "descent/error.h"
#include "descent/picture.h"
#include "temporary_folder.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <optional>

namespace fs = std::filesystem;

namespace {

using boost::test_tools::per_element;
using descent::DataSet;
using descent::Error;
using descent::Shape;

const fs::path fixtures = fs::path(DESCENT_TEST_DATA) / "pictures";

boost::test_tools::assertion_result fashion_mnist_is_installed(boost::unit_test::test_unit_id) {
  return !descent::find_data_set(descent::known_data_sets()[0]).empty();
}

// A variable of the environment that returns to what it was.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) before_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before_) {
      ::setenv(name_, before_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

std::string message_of(const std::string& name, const Shape& input = {1, 2, 2}) {
  try {
    (void)descent::load_data_set(name, input);
  } catch (const Error& error) {
    BOOST_TEST(error.exit_code() == 2);
    BOOST_TEST_MESSAGE(error.what());
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string pictures_idx(const std::string& pixels) {  // of 2×2
  return big_endian(0x803) + big_endian(static_cast<std::uint32_t>(pixels.size() / 4)) + big_endian(2) +
         big_endian(2) + pixels;
}
std::string labels_idx(const std::string& labels) {
  return big_endian(0x801) + big_endian(static_cast<std::uint32_t>(labels.size())) + labels;
}

void write_idx_set(const fs::path& folder, const std::string& train_labels, const std::string& valid_labels) {
  write_bytes(folder / "train-images-idx3-ubyte", pictures_idx(std::string(train_labels.size() * 4, '\x10')));
  write_bytes(folder / "train-labels-idx1-ubyte", labels_idx(train_labels));
  write_bytes(folder / "t10k-images-idx3-ubyte", pictures_idx(std::string(valid_labels.size() * 4, '\x20')));
  write_bytes(folder / "t10k-labels-idx1-ubyte", labels_idx(valid_labels));
}

// A grey BMP of one pixel's value, 2×2.
void write_picture(const fs::path& file, int value) {
  const auto little = [](std::uint32_t number) {
    const std::string big = big_endian(number);
    return std::string(big.rbegin(), big.rend());
  };
  std::string bytes = "BM" + little(54 + 16) + little(0) + little(54) + little(40) + little(2) + little(2) +
                      std::string("\1\0\x18\0", 4) + little(0) + little(16) + std::string(16, '\0');
  const std::string row = std::string(6, static_cast<char>(value)) + std::string(2, '\0');
  write_bytes(file, bytes + row + row);
}

struct Folder {
  TemporaryFolder folder;
  [[nodiscard]] std::string name() const { return folder.path().string(); }
  [[nodiscard]] DataSet load() const { return descent::load_data_set(name(), Shape{1, 2, 2}); }
  void picture(const std::string& file, int value = 0) const { write_picture(folder.path() / file, value); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(data_set, Folder)

BOOST_AUTO_TEST_CASE(fashion_mnist_is_read_by_name,
                     *boost::unit_test::precondition(fashion_mnist_is_installed)) {
  const DataSet set = descent::load_data_set("fashion-mnist", Shape{1, 28, 28});
  BOOST_TEST(set.name == "fashion-mnist");
  BOOST_TEST(set.train.size() == 60000U);
  BOOST_TEST(set.valid.size() == 10000U);
  BOOST_TEST(set.train.pictures.size() == 60000U * 784U);
  BOOST_TEST((set.valid.shape == Shape{1, 28, 28}));
  const std::vector<std::int32_t> first(set.train.labels.begin(), set.train.labels.begin() + 16);
  BOOST_TEST(first == (std::vector<std::int32_t>{9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9}),
             per_element());
  for (std::int32_t label = 0; label < 10; ++label) {
    BOOST_TEST(std::count(set.train.labels.begin(), set.train.labels.end(), label) == 6000);
    BOOST_TEST(std::count(set.valid.labels.begin(), set.valid.labels.end(), label) == 1000);
  }
  // The mean of all training pixels, as everyone who normalises this set prints it: 0.2860.
  const double sum = std::accumulate(set.train.pictures.begin(), set.train.pictures.end(), 0.0);
  BOOST_TEST(sum / 255.0 / 60000.0 / 784.0 == 0.2860, boost::test_tools::tolerance(1e-3));
}

BOOST_AUTO_TEST_CASE(fashion_mnist_has_its_ten_classes_in_order) {
  const auto& known = descent::known_data_sets()[0];
  BOOST_TEST(known.name == "fashion-mnist");
  const std::vector<std::string> classes(known.classes.begin(), known.classes.end());
  const std::vector<std::string> expected{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                          "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  BOOST_TEST(classes == expected, per_element());
}

BOOST_AUTO_TEST_CASE(the_folder_of_the_environment_comes_first) {
  const Variable data("DESCENT_DATA", name());
  write_idx_set(folder.path() / "fashion-mnist", {9, 0, 1}, {2});
  BOOST_TEST(descent::find_data_set(descent::known_data_sets()[0]) == folder.path() / "fashion-mnist");
  const DataSet set = descent::load_data_set("fashion-mnist", Shape{1, 2, 2});
  BOOST_TEST(set.train.size() == 3U);
  BOOST_TEST(set.classes.at(9) == "Ankle boot");
}

BOOST_AUTO_TEST_CASE(the_home_folder_is_searched_for_what_was_fetched) {
  const Variable home("HOME", name());
  const Variable data("DESCENT_DATA", "");
  write_idx_set(folder.path() / ".local/share/descent/mnist", {9, 0}, {2});
  BOOST_TEST(descent::find_data_set(descent::known_data_sets()[1]) ==
             folder.path() / ".local/share/descent/mnist");
}

BOOST_AUTO_TEST_CASE(a_known_set_that_is_not_installed_says_how_to_get_it) {
  const Variable home("HOME", name());
  const Variable data("DESCENT_DATA", name());
  if (!descent::find_data_set(descent::known_data_sets()[1]).empty()) return;  // mnist lies in the system
  BOOST_TEST(contains(message_of("mnist"), "not installed: tools/get_dataset mnist"));
}

BOOST_AUTO_TEST_CASE(an_unknown_name_gets_the_nearest_one) {
  BOOST_TEST(contains(message_of("fashon-mnist"), "did you mean 'fashion-mnist'?"));
  BOOST_TEST(contains(message_of("/no/such/folder"), "there is no folder '/no/such/folder'"));
  BOOST_TEST(contains(message_of(""), "empty"));
  BOOST_TEST(contains(message_of((fixtures / "rgba_2x2.png").string()), "is a file"));
}

BOOST_AUTO_TEST_CASE(a_folder_of_idx_files_names_its_classes_by_number) {
  write_idx_set(folder.path(), {0, 3, 1}, {2, 2});
  const DataSet set = load();
  BOOST_TEST(set.name == folder.path().filename().string());
  BOOST_TEST(set.classes == (std::vector<std::string>{"0", "1", "2", "3"}), per_element());
  BOOST_TEST(set.train.labels == (std::vector<std::int32_t>{0, 3, 1}), per_element());
  BOOST_TEST(set.valid.labels == (std::vector<std::int32_t>{2, 2}), per_element());
  BOOST_TEST(set.train.pictures == std::vector<std::uint8_t>(12, 0x10), per_element());
}

BOOST_AUTO_TEST_CASE(the_spelling_with_a_dot_and_gzip_are_found_too) {
  write_bytes(folder / "train-images.idx3-ubyte", pictures_idx("abcdefgh"));
  write_bytes(folder / "train-labels.idx1-ubyte.gz", gzip(labels_idx({0, 1})));
  write_bytes(folder / "t10k-images-idx3-ubyte.gz", gzip(pictures_idx("abcd")));
  write_bytes(folder / "t10k-labels-idx1-ubyte", labels_idx({1}));
  BOOST_TEST(load().train.size() == 2U);
}

BOOST_AUTO_TEST_CASE(idx_pictures_of_another_size_are_resized_to_the_input) {
  write_idx_set(folder.path(), {0, 1}, {1});
  const DataSet set = descent::load_data_set(name(), Shape{3, 5, 4});
  BOOST_TEST((set.train.shape == Shape{3, 5, 4}));
  BOOST_TEST(set.train.pictures == std::vector<std::uint8_t>(std::size_t{2} * 60, 0x10), per_element());
  BOOST_TEST(set.valid.pictures == std::vector<std::uint8_t>(60, 0x20), per_element());
}

BOOST_AUTO_TEST_CASE(a_missing_idx_file_is_named) {
  write_idx_set(folder.path(), {0, 1}, {1});
  fs::remove(folder / "t10k-labels-idx1-ubyte");
  BOOST_TEST(contains(message_of(name()), "has no t10k-labels-idx1-ubyte[.gz]"));
}

BOOST_AUTO_TEST_CASE(labels_without_a_class_are_refused) {
  write_idx_set(folder.path(), {0, 1}, {0, 2});
  BOOST_TEST(
      contains(message_of(name()), "t10k-labels-idx1-ubyte' has the label 2 at position 1, but there are 2"));
  write_idx_set(folder.path() / "mnist", {0, 10}, {1});
  BOOST_TEST(
      contains(message_of(name() + "/mnist"), "has the label 10 at position 1, but there are 10 classes"));
}

BOOST_AUTO_TEST_CASE(training_and_validation_pictures_of_different_size_are_refused) {
  write_idx_set(folder.path(), {0, 1}, {0});
  write_bytes(folder / "t10k-images-idx3-ubyte",
              big_endian(0x803) + big_endian(1) + big_endian(1) + big_endian(4) + "abcd");
  BOOST_TEST(contains(message_of(name()), "1×2×2 for training and of 1×1×4 for validation"));
}

BOOST_AUTO_TEST_CASE(every_tenth_picture_of_a_class_is_for_validation) {
  for (int i = 0; i < 20; ++i) picture("cat/" + std::to_string(100 + i) + ".bmp", i);
  for (int i = 0; i < 3; ++i) picture("ant/" + std::to_string(i) + ".bmp", 100 + i);
  const DataSet set = load();
  BOOST_TEST(set.classes == (std::vector<std::string>{"ant", "cat"}), per_element());
  BOOST_TEST(set.train.size() == 20U);
  BOOST_TEST(set.valid.labels == (std::vector<std::int32_t>{0, 1, 1}), per_element());
  BOOST_TEST(set.train.labels.at(1) == 0);
  BOOST_TEST(set.train.labels.at(2) == 1);
  const auto value = [](const descent::PictureSet& part, std::size_t i) {
    return int{part.pictures.at(i * 4)};
  };
  BOOST_TEST(value(set.valid, 0) == 102);
  BOOST_TEST(value(set.valid, 1) == 9);
  BOOST_TEST(value(set.valid, 2) == 19);
  BOOST_TEST(value(set.train, 0) == 100);
  BOOST_TEST(value(set.train, 2) == 0);
  BOOST_TEST(value(set.train, 11) == 10);
  BOOST_TEST(set.valid.files == (std::vector<std::string>{"ant/2.bmp", "cat/109.bmp", "cat/119.bmp"}),
             per_element());
  BOOST_TEST(set.train.files.at(11) == "cat/110.bmp");
}

BOOST_AUTO_TEST_CASE(folders_for_training_and_validation_are_used_as_they_are) {
  for (const char* valid : {"valid", "val", "test"}) {
    const fs::path root = folder.path() / valid / "root";
    write_picture(root / "train/a/1.bmp", 1);
    write_picture(root / "train/b/1.bmp", 2);
    write_picture(root / valid / "a/1.bmp", 3);
    write_picture(root / valid / "b/1.bmp", 4);
    const DataSet set = descent::load_data_set(root.string(), Shape{1, 2, 2});
    BOOST_TEST(set.classes == (std::vector<std::string>{"a", "b"}), per_element());
    BOOST_TEST(set.train.pictures == (std::vector<std::uint8_t>{1, 1, 1, 1, 2, 2, 2, 2}), per_element());
    BOOST_TEST(set.valid.pictures == (std::vector<std::uint8_t>{3, 3, 3, 3, 4, 4, 4, 4}), per_element());
  }
}

BOOST_AUTO_TEST_CASE(folders_with_different_classes_are_refused) {
  picture("train/a/1.bmp");
  picture("train/b/1.bmp");
  picture("valid/a/1.bmp");
  picture("valid/c/1.bmp");
  BOOST_TEST(contains(message_of(name()), "/train' has the class 'b' but"));
  fs::create_directories(folder / "train/c");
  fs::create_directories(folder / "valid/b");
  fs::create_directories(folder / "valid/d");
  BOOST_TEST(contains(message_of(name()), "/valid' has the class 'd' but"));
}

BOOST_AUTO_TEST_CASE(what_file_managers_leave_behind_is_skipped) {
  for (const char* name : {"a/1.bmp", "a/2.bmp", "b/1.bmp", ".ipynb_checkpoints/x.bmp", "a/.hidden.png"})
    picture(name);
  write_bytes(folder / ".DS_Store", "x");
  write_bytes(folder / "a/Thumbs.db", "x");
  write_bytes(folder / "a/notes.txt", "x");
  fs::create_directories(folder / "a/.ipynb_checkpoints");
  const DataSet set = load();
  BOOST_TEST(set.classes == (std::vector<std::string>{"a", "b"}), per_element());
  BOOST_TEST(set.train.size() == 2U);
  BOOST_TEST(set.valid.size() == 1U);
}

BOOST_AUTO_TEST_CASE(one_class_or_none_is_refused) {
  BOOST_TEST(contains(message_of(name()), "has no sub-folder"));
  picture("only/1.bmp");
  BOOST_TEST(contains(message_of(name()), "has only one sub-folder"));
}

BOOST_AUTO_TEST_CASE(a_class_without_pictures_is_refused) {
  picture("a/1.bmp");
  write_bytes(folder / "b/readme.txt", "none");
  BOOST_TEST(contains(message_of(name()), "/b' has no JPEG, PNG or BMP picture"));
}

BOOST_AUTO_TEST_CASE(folders_inside_a_class_and_foreign_pictures_are_refused) {
  picture("a/1.bmp");
  picture("b/1.bmp");
  for (const std::string file : {"b/2.webp", "b/IMG_1.HEIC"}) {
    write_bytes(folder / file, "RIFF");
    BOOST_TEST(contains(message_of(name()), file + "' is not a JPEG, PNG or BMP picture"));
    fs::remove(folder / file);
  }
  picture("b/more/1.bmp");
  BOOST_TEST(contains(message_of(name()), "is a folder inside the class folder"));
}

BOOST_AUTO_TEST_CASE(the_first_picture_that_cannot_be_decoded_is_named) {
  for (int i = 0; i < 40; ++i) picture("a/" + std::to_string(100 + i) + ".bmp");
  picture("b/1.bmp");
  write_bytes(folder / "a/120.bmp", "BM broken");
  write_bytes(folder / "a/131.bmp", "broken too");
  for (int again = 0; again < 5; ++again)
    BOOST_TEST(contains(message_of(name()), "/a/120.bmp' cannot be decoded"));
}

BOOST_AUTO_TEST_CASE(a_set_that_does_not_fit_into_memory_is_refused) {
  write_idx_set(folder.path(), {0, 1}, {1});
  BOOST_TEST(contains(message_of(name(), Shape{3, 1'000'000, 1'000'000}), "bytes of memory"));
}

BOOST_AUTO_TEST_CASE(an_epoch_visits_every_picture_once) {
  const std::vector<std::uint32_t> order = descent::epoch_order(1000, true, 42, 3);
  std::vector<std::uint32_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  const std::vector<std::uint32_t> plain = descent::epoch_order(1000, false, 42, 3);
  BOOST_TEST(sorted == plain);
  BOOST_TEST(order != plain);
  BOOST_TEST(plain.front() == 0U);
  BOOST_TEST(plain.back() == 999U);
  BOOST_TEST(descent::epoch_order(0, true, 1, 0).empty());
  BOOST_TEST(descent::epoch_order(1, true, 1, 0) == std::vector<std::uint32_t>{0}, per_element());
}

BOOST_AUTO_TEST_CASE(the_order_depends_on_seed_and_epoch_alone) {
  const auto order = descent::epoch_order(100, true, 42, 0);
  BOOST_TEST(order == descent::epoch_order(100, true, 42, 0));
  BOOST_TEST(order != descent::epoch_order(100, true, 43, 0));
  BOOST_TEST(order != descent::epoch_order(100, true, 42, 1));
}

BOOST_AUTO_TEST_CASE(every_permutation_is_about_as_likely) {
  std::array<int, 6> seen{};
  for (std::uint32_t epoch = 0; epoch < 6000; ++epoch) {
    const auto order = descent::epoch_order(3, true, 7, epoch);
    ++seen[order[0] * 2 + (order[1] > order[2] ? 1 : 0)];
  }
  for (const int count : seen) BOOST_TEST(std::abs(count - 1000) < 150);  // five standard deviations
}

// A data set of two pictures of one pixel a part.
DataSet with_classes(const std::vector<std::string>& classes) {
  DataSet data;
  data.name = "two";
  data.classes = classes;
  data.train.shape = {1, 1, 1};
  data.train.pictures = {1, 2};
  data.train.labels = {0, 1};
  data.valid = data.train;
  return data;
}

BOOST_AUTO_TEST_CASE(classes_are_those_of_the_model_with_the_same_names) {
  const std::vector<std::string> names{"T-shirt/top", "Trouser", "Bag"};
  DataSet data = with_classes({"Bag", "T-shirt-top"});
  BOOST_CHECK(descent::match_classes(data, names, 3) == descent::ClassMatch::by_name);
  const std::vector<std::int32_t> labels{2, 0};
  BOOST_TEST(data.train.labels == labels, per_element());
  BOOST_TEST(data.valid.labels == labels, per_element());
  DataSet other = with_classes({"Bag", "Hat"});
  BOOST_CHECK_EXCEPTION(descent::match_classes(other, names, 3), Error, [](const Error& error) {
    return contains(error.what(), "no class 'Hat', which 'two' has: its classes are T-shirt/top, Trouser, Bag");
  });
}

BOOST_AUTO_TEST_CASE(classes_called_by_numbers_keep_them) {
  const std::vector<std::int32_t> labels{0, 1};
  DataSet data = with_classes({"0", "1"});
  BOOST_CHECK(descent::match_classes(data, std::vector<std::string>{"b", "a"}, 2) ==
              descent::ClassMatch::by_number);
  BOOST_TEST(data.valid.labels == labels, per_element());
  // They are names where the model has them, too.
  BOOST_CHECK(descent::match_classes(data, std::vector<std::string>{"1", "0"}, 2) ==
              descent::ClassMatch::by_name);
  BOOST_TEST(data.valid.labels == (std::vector<std::int32_t>{1, 0}), per_element());
  BOOST_CHECK(descent::match_classes(data, {}, 2) == descent::ClassMatch::by_name);
  BOOST_CHECK_THROW(descent::match_classes(data, {}, 1), Error);
}

BOOST_AUTO_TEST_SUITE_END()
