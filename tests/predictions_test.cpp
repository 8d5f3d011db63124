// confusion.csv, worst.csv, worst.png, batch.csv and batch.png against plain loops over the same pictures.
#include "train/predictions.h"

#include "descent/picture.h"
#include "small_fit.h"
#include "temporary_folder.h"
#include "train/batch_sheet.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

using namespace descent;
using namespace descent::test;

namespace {

constexpr std::size_t pixels = 16;
const std::vector<std::string> names{"left", "\"right, or so\"", "2"};  // of three classes, as CSV fields

// The network has one class more than the data has names.
DataSet named_data(std::size_t train, std::size_t valid) {
  DataSet data = half_data(train, valid);
  data.classes = {"left", "right, or so"};
  return data;
}

std::vector<std::string> some_files(std::size_t count) {
  std::vector<std::string> files;
  for (std::size_t i = 0; i < count; ++i) files.push_back("half/" + std::to_string(i) + ", of 2.png");
  return files;
}

// A fit of three classes that leaves its weights alone: weights[class × pixels + pixel], then biases.
SmallFit fit_with(const std::vector<float>& weights) {
  SmallFit small(linear_network(3));
  HostParameters host = small.store.download();
  const auto& entries = small.store.layout().trained;
  std::copy_n(weights.begin(), 3 * pixels,
              host.trained.begin() + static_cast<std::ptrdiff_t>(entries[0].offset));
  std::copy_n(weights.begin() + 3 * pixels, 3,
              host.trained.begin() + static_cast<std::ptrdiff_t>(entries[1].offset));
  small.store.upload(host);
  small.settings.optimizer = Sgd{0, 0};
  return small;
}

std::vector<float> some_weights() {
  std::vector<float> weights(3 * pixels + 3);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<float>(normal_pair({5, Purpose::demo, 0, 0}, i)[0]);
  }
  return weights;
}

struct Answer {
  std::size_t index = 0;
  std::size_t said = 0;
  double probability = 0;
  double loss = 0;
};

// What the network must say, in double.
std::vector<Answer> answers(const PictureSet& set, const std::vector<float>& weights) {
  std::vector<Answer> all;
  for (std::size_t picture = 0; picture < set.size(); ++picture) {
    std::vector<double> logits;
    for (std::size_t k = 0; k < 3; ++k) {
      auto logit = static_cast<double>(weights[3 * pixels + k]);
      for (std::size_t i = 0; i < pixels; ++i) {
        logit += static_cast<double>(weights[k * pixels + i]) * set.pictures[picture * pixels + i] / 255.0;
      }
      logits.push_back(logit);
    }
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit);
    const auto said = static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    all.push_back({picture, said, std::exp(logits[said]) / sum,
                   std::log(sum) - logits[static_cast<std::size_t>(set.labels[picture])]});
  }
  return all;
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::vector<std::string> lines;
  std::istringstream stream(read_text(file));
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string confusion_of(const std::vector<Answer>& all, const PictureSet& set) {
  std::string text = "label," + names[0] + "," + names[1] + "," + names[2] + "\n";
  for (std::int32_t label = 0; label < 3; ++label) {
    text += names[static_cast<std::size_t>(label)];
    for (std::size_t said = 0; said < 3; ++said) {
      text += "," + std::to_string(std::ranges::count_if(all, [&](const Answer& answer) {
                return set.labels[answer.index] == label && answer.said == said;
              }));
    }
    text += "\n";
  }
  return text;
}

// A tile of a grey sheet.
std::vector<std::uint8_t> tile_of(const Picture& sheet, std::int64_t tile, std::int64_t columns) {
  std::vector<std::uint8_t> bytes;
  for (std::int64_t y = 0; y < 4; ++y) {
    for (std::int64_t x = 0; x < 4; ++x) {
      const std::int64_t row = tile / columns * 4 + y;
      bytes.push_back(sheet.bytes.at(static_cast<std::size_t>(row * sheet.width + tile % columns * 4 + x)));
    }
  }
  return bytes;
}

std::vector<std::uint8_t> picture_of(const PictureSet& set, std::size_t index) {
  const auto begin = set.pictures.begin() + static_cast<std::ptrdiff_t>(index * pixels);
  return {begin, begin + pixels};
}

class CancelValidation : public Observer {
 public:
  void after_batch(FitState& state) override {
    if (!state.training && state.epoch == 1) throw Cancel{Scope::epoch};
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(predictions)

BOOST_AUTO_TEST_CASE(the_confusion_matrix_counts_what_was_said_to_each_class) {
  const TemporaryFolder folder;
  const DataSet data = named_data(4, 51);
  SmallFit small = fit_with(some_weights());
  small.settings.epochs = 2;  // of the last validation alone
  PredictionRecorder recorder(folder.path(), data);
  small.run(data, {&recorder});
  const std::vector<Answer> all = answers(data.valid, some_weights());
  BOOST_TEST(read_text(folder / "confusion.csv") == confusion_of(all, data.valid));
}

BOOST_AUTO_TEST_CASE(the_worst_pictures_are_those_of_highest_loss_worst_first) {
  const TemporaryFolder folder;
  DataSet data = named_data(4, 51);
  data.valid.files = some_files(51);
  SmallFit small = fit_with(some_weights());
  PredictionRecorder recorder(folder.path(), data);
  small.run(data, {&recorder});

  std::vector<Answer> all = answers(data.valid, some_weights());
  std::ranges::sort(all, std::ranges::greater{}, &Answer::loss);
  const std::vector<std::string> lines = lines_of(folder / "worst.csv");
  BOOST_REQUIRE(lines.size() == 25U);
  BOOST_TEST(lines[0] == "index,label,said,probability,loss,file");
  const Picture sheet = read_picture(folder / "worst.png");
  BOOST_TEST(sheet.width == 6 * 4);
  BOOST_TEST(sheet.height == 4 * 4);
  BOOST_TEST(sheet.channels == 1);
  for (std::size_t i = 0; i < 24; ++i) {
    BOOST_TEST_CONTEXT("row " << i << ": " << lines[i + 1]) {
      const auto label = static_cast<std::size_t>(data.valid.labels[all[i].index]);
      const std::string begin =
          std::to_string(all[i].index) + "," + names[label] + "," + names[all[i].said] + ",";
      BOOST_REQUIRE(lines[i + 1].starts_with(begin));
      double probability = 0;
      double loss = 0;
      char comma = 0;
      std::istringstream(lines[i + 1].substr(begin.size())) >> probability >> comma >> loss;
      BOOST_CHECK_CLOSE(probability, all[i].probability, 1e-3);
      BOOST_CHECK_CLOSE(loss, all[i].loss, 1e-3);
      BOOST_TEST(lines[i + 1].ends_with(",\"half/" + std::to_string(all[i].index) + ", of 2.png\""));
      BOOST_CHECK(tile_of(sheet, static_cast<std::int64_t>(i), 6) == picture_of(data.valid, all[i].index));
    }
  }
}

BOOST_AUTO_TEST_CASE(of_equal_classes_and_equal_losses_the_first_counts) {
  const TemporaryFolder folder;
  const DataSet data = named_data(4, 40);
  SmallFit small = fit_with(std::vector<float>(3 * pixels + 3, 0.0F));
  PredictionRecorder recorder(folder.path(), data);
  small.run(data, {&recorder});
  BOOST_TEST(lines_of(folder / "confusion.csv").at(1) == "left,20,0,0");
  BOOST_TEST(lines_of(folder / "confusion.csv").at(2) == names[1] + ",20,0,0");
  const std::vector<std::string> lines = lines_of(folder / "worst.csv");
  BOOST_REQUIRE(lines.size() == 25U);
  for (std::size_t i = 0; i < 24; ++i)
    BOOST_TEST(lines[i + 1].starts_with(std::to_string(i) + ","), lines[i + 1]);
}

BOOST_AUTO_TEST_CASE(a_few_pictures_are_all_among_the_worst) {
  const TemporaryFolder folder;
  const DataSet data = named_data(4, 7);
  SmallFit small = fit_with(some_weights());
  PredictionRecorder recorder(folder.path(), data);
  small.run(data, {&recorder});
  BOOST_TEST(lines_of(folder / "worst.csv").size() == 8U);
  BOOST_TEST(read_picture(folder / "worst.png").height == 2 * 4);
}

BOOST_AUTO_TEST_CASE(a_validation_that_is_cancelled_leaves_the_files_of_the_one_before) {
  const TemporaryFolder folder;
  const DataSet data = named_data(4, 51);
  SmallFit small = fit_with(some_weights());
  small.settings.epochs = 2;
  PredictionRecorder recorder(folder.path(), data);
  CancelValidation cancel;
  small.run(data, {&recorder, &cancel});
  const std::vector<Answer> all = answers(data.valid, some_weights());
  BOOST_TEST(read_text(folder / "confusion.csv") == confusion_of(all, data.valid));
}

BOOST_AUTO_TEST_CASE(the_batch_sheet_shows_the_first_training_batch_in_its_order) {
  const TemporaryFolder folder;
  DataSet data = named_data(80, 2);
  data.train.files = some_files(80);
  SmallFit small;
  small.settings.batch_size = 10;
  small.settings.epochs = 2;
  BatchSheet sheet_writer(folder.path(), data);
  small.run(data, {&sheet_writer});

  const std::vector<std::uint32_t> order = epoch_order(80, true, small.settings.seed, 0);
  std::string rows = "position,index,label,file\n";
  std::vector<std::uint8_t> seen;
  for (std::size_t i = 0; i < 10; ++i) {
    rows += std::to_string(i) + "," + std::to_string(order[i]) + "," + names[order[i] % 2] + ",\"half/" +
            std::to_string(order[i]) + ", of 2.png\"\n";
    const std::vector<std::uint8_t> picture = picture_of(data.train, order[i]);
    seen.insert(seen.end(), picture.begin(), picture.end());
  }
  BOOST_TEST(read_text(folder / "batch.csv") == rows);
  const Picture sheet = read_picture(folder / "batch.png");
  BOOST_TEST(sheet.width == 8 * 4);
  BOOST_TEST(sheet.height == 2 * 4);
  const auto [low, high] = std::minmax_element(seen.begin(), seen.end());
  for (std::int64_t tile = 0; tile < 10; ++tile) {
    std::vector<std::uint8_t> expected = picture_of(data.train, order[static_cast<std::size_t>(tile)]);
    for (std::uint8_t& pixel : expected) {
      pixel = static_cast<std::uint8_t>(std::lround((pixel - *low) * 255.0 / (*high - *low)));
    }
    BOOST_CHECK(tile_of(sheet, tile, 8) == expected);
  }
}

BOOST_AUTO_TEST_CASE(the_whole_batch_says_what_is_black_and_white_and_64_pictures_are_shown) {
  const TemporaryFolder folder;
  DataSet data = named_data(80, 2);
  data.train.pictures[70 * pixels] = 255;
  data.train.pictures[70 * pixels + 1] = 0;
  SmallFit small;
  small.settings.batch_size = 75;
  small.settings.shuffle = false;
  BatchSheet sheet_writer(folder.path(), data);
  small.run(data, {&sheet_writer});
  BOOST_TEST(lines_of(folder / "batch.csv").size() == 65U);
  const Picture sheet = read_picture(folder / "batch.png");
  BOOST_TEST(sheet.height == 8 * 4);
  for (const std::size_t tile : {0U, 63U}) {
    BOOST_CHECK(tile_of(sheet, static_cast<std::int64_t>(tile), 8) == picture_of(data.train, tile));
  }
}

BOOST_AUTO_TEST_CASE(a_batch_of_one_colour_is_black) {
  const TemporaryFolder folder;
  DataSet data = named_data(4, 2);
  std::ranges::fill(data.train.pictures, std::uint8_t{9});
  SmallFit small;
  BatchSheet sheet_writer(folder.path(), data);
  small.run(data, {&sheet_writer});
  BOOST_TEST(std::ranges::count(read_picture(folder / "batch.png").bytes, 0) == 8 * 4 * 4);
}

BOOST_AUTO_TEST_SUITE_END()
