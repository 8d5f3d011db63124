// TensorBoard's event files, read again by a small reader of their own.
#include "train/tensorboard.h"

#include "descent/error.h"
#include "descent/picture.h"
#include "small_fit.h"
#include "temporary_folder.h"
#include "train/batch_sheet.h"
#include "train/predictions.h"
#include "train/statistics.h"

#include <boost/test/unit_test.hpp>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace descent;
using namespace descent::test;

namespace {

// A message of protobuf: its fields by number; numbers as their bits.
struct Message {
  std::multimap<std::uint64_t, std::uint64_t> numbers;
  std::multimap<std::uint64_t, std::string> texts;

  explicit Message(std::string_view bytes) {
    const auto fixed = [&bytes](std::size_t size) {
      std::uint64_t value = 0;
      for (std::size_t i = size; i-- > 0;) value = value << 8U | static_cast<unsigned char>(bytes.at(i));
      bytes.remove_prefix(size);
      return value;
    };
    const auto varint = [&] {
      std::uint64_t value = 0;
      for (unsigned shift = 0;; shift += 7) {
        const std::uint64_t byte = fixed(1);
        value |= (byte & 0x7FU) << shift;
        if (byte < 0x80U) return value;
      }
    };
    while (!bytes.empty()) {
      const std::uint64_t key = varint();
      if (key % 8 == 0) numbers.emplace(key / 8, varint());
      if (key % 8 == 1) numbers.emplace(key / 8, fixed(8));
      if (key % 8 == 5) numbers.emplace(key / 8, fixed(4));
      if (key % 8 == 2) {
        const std::uint64_t size = varint();
        texts.emplace(key / 8, bytes.substr(0, size));
        bytes.remove_prefix(size);
      }
    }
  }
  [[nodiscard]] bool has(std::uint64_t field) const { return numbers.contains(field) || texts.contains(field); }
  [[nodiscard]] std::string text(std::uint64_t field) const { return texts.find(field)->second; }
  [[nodiscard]] std::uint64_t bits(std::uint64_t field) const { return numbers.find(field)->second; }
  [[nodiscard]] double real(std::uint64_t field) const { return std::bit_cast<double>(bits(field)); }
};

std::vector<double> doubles(const std::string& packed) {
  std::vector<double> values(packed.size() / 8);
  std::memcpy(values.data(), packed.data(), values.size() * 8);
  return values;
}

std::uint64_t number_at(const std::string& bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8U | static_cast<unsigned char>(bytes.at(at + i));
  return value;
}

// Bit by bit, as the standard says.
std::uint64_t masked_checksum(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc % 2 == 1 ? (crc / 2) ^ 0x82F63B78U : crc / 2;
  }
  crc = ~crc;
  return ((crc >> 15U) | (crc << 17U)) + 0xA282EAD8U;
}

std::vector<std::filesystem::path> event_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) files.push_back(entry.path());
  }
  return files;
}

std::vector<Message> events_of(const std::filesystem::path& folder) {
  const std::vector<std::filesystem::path> files = event_files(folder);
  BOOST_REQUIRE_EQUAL(files.size(), 1U);
  const std::string bytes = read_text(files.front());
  std::vector<Message> events;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::uint64_t size = number_at(bytes, at, 8);
    BOOST_REQUIRE(at + 16 + size <= bytes.size());
    BOOST_TEST(number_at(bytes, at + 8, 4) == (masked_checksum(bytes.substr(at, 8)) & 0xFFFFFFFFU));
    const std::string content = bytes.substr(at + 12, size);
    BOOST_TEST(number_at(bytes, at + 12 + size, 4) == (masked_checksum(content) & 0xFFFFFFFFU));
    events.emplace_back(content);
    at += 16 + size;
  }
  return events;
}

// Step and value of every value of a tag.
std::vector<std::pair<std::int64_t, Message>> values_of(const std::vector<Message>& events,
                                                        const std::string& tag) {
  std::vector<std::pair<std::int64_t, Message>> found;
  for (const Message& event : events) {
    if (!event.has(5)) continue;
    const Message summary(event.text(5));
    for (const auto& [field, bytes] : summary.texts) {
      Message value(bytes);
      if (value.text(1) == tag) found.emplace_back(static_cast<std::int64_t>(event.bits(2)), std::move(value));
    }
  }
  return found;
}

std::vector<std::pair<std::int64_t, float>> scalars_of(const std::vector<Message>& events,
                                                       const std::string& tag) {
  std::vector<std::pair<std::int64_t, float>> found;
  for (const auto& [step, value] : values_of(events, tag)) {
    found.emplace_back(step, std::bit_cast<float>(static_cast<std::uint32_t>(value.bits(2))));
  }
  return found;
}

// What the loop says, and another rate for every step.
class Witness : public Observer {
 public:
  std::vector<float> losses;
  std::vector<EpochMetrics> epochs;
  void before_batch(FitState& state) override {
    state.learning_rate = 0.1 / static_cast<double>(state.step + 1);
  }
  void after_loss(FitState& state) override {
    if (state.training) losses.push_back(static_cast<float>(state.batch_loss));
  }
  void after_step(FitState& state) override { state.learning_rate = 7; }
  void after_both_phases(FitState& /*state*/, const EpochMetrics& metrics) override {
    epochs.push_back(metrics);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(tensorboard)

BOOST_AUTO_TEST_CASE(checksums_are_those_of_rfc_3720) {
  BOOST_TEST(crc32c("") == 0U);
  BOOST_TEST(crc32c("123456789") == 0xE3069283U);
  BOOST_TEST(crc32c(std::string(32, '\0')) == 0x8A9136AAU);
  BOOST_TEST(crc32c(std::string(32, '\xff')) == 0x62A8AB43U);
  std::string ascending(32, '\0');
  std::iota(ascending.begin(), ascending.end(), '\0');
  BOOST_TEST(crc32c(ascending) == 0x46DD794EU);
}

BOOST_AUTO_TEST_CASE(texts_of_every_length_are_encoded) {
  for (std::size_t length = 0; length < 300; ++length) {
    EventValues values;
    values.add_scalar(std::string(length, 't'), 0.5);
    const Message value(Message(values.message()).text(1));
    BOOST_TEST(value.text(1).size() == length);
    BOOST_TEST(std::bit_cast<float>(static_cast<std::uint32_t>(value.bits(2))) == 0.5F);
  }
}

BOOST_AUTO_TEST_CASE(a_record_is_framed_by_its_length_and_two_checksums) {
  const std::string record = event_record("abc");
  BOOST_REQUIRE_EQUAL(record.size(), 8U + 4 + 3 + 4);
  BOOST_TEST(number_at(record, 0, 8) == 3U);
  BOOST_TEST(record.substr(12, 3) == "abc");
  BOOST_TEST(number_at(record, 8, 4) == (masked_checksum(record.substr(0, 8)) & 0xFFFFFFFFU));
  BOOST_TEST(number_at(record, 15, 4) == (masked_checksum("abc") & 0xFFFFFFFFU));
}

BOOST_AUTO_TEST_CASE(a_file_begins_with_its_version_and_replaces_those_of_an_older_run) {
  const TemporaryFolder folder;
  write_text(folder / "events.out.tfevents.1.there.2", "old");
  write_text(folder / "other", "kept");
  const TensorBoardWriter writer(folder.path());
  const std::vector<Message> events = events_of(folder.path());
  BOOST_REQUIRE_EQUAL(events.size(), 1U);
  BOOST_TEST(events[0].text(3) == "brain.Event:2");
  BOOST_TEST(events[0].real(1) > 1.6e9);
  BOOST_TEST(std::filesystem::exists(folder / "other"));
  const std::string name = event_files(folder.path()).front().filename().string();
  BOOST_TEST(name.ends_with("." + std::to_string(::getpid())), name);
}

BOOST_AUTO_TEST_CASE(batches_and_epochs_become_scalars) {
  const TemporaryFolder folder;
  SmallFit small;
  small.settings.epochs = 2;
  small.settings.optimizer = Momentum{};
  Witness witness;
  TensorBoardWriter writer(folder.path());
  small.run(half_data(5, 3), {&witness, &writer});

  const std::vector<Message> events = events_of(folder.path());
  const auto losses = scalars_of(events, "train/loss");
  const auto rates = scalars_of(events, "train/lr");
  const auto momenta = scalars_of(events, "train/momentum");
  BOOST_REQUIRE_EQUAL(losses.size(), 6U);
  BOOST_REQUIRE_EQUAL(rates.size(), 6U);
  BOOST_REQUIRE_EQUAL(momenta.size(), 6U);
  for (std::size_t step = 0; step < 6; ++step) {
    BOOST_TEST(losses[step].first == static_cast<std::int64_t>(step));
    BOOST_TEST(losses[step].second == witness.losses[step]);
    BOOST_TEST(rates[step].second == static_cast<float>(0.1 / static_cast<double>(step + 1)));
    BOOST_TEST(momenta[step].second == static_cast<float>(*momentum(small.settings.optimizer)));
  }
  for (std::size_t epoch = 0; epoch < 2; ++epoch) {
    const EpochMetrics& metrics = witness.epochs[epoch];
    for (const auto& [tag, value] : std::map<std::string, double>{{"train/epoch_loss", metrics.train.loss},
                                                                  {"train/accuracy", metrics.train.accuracy},
                                                                  {"valid/loss", metrics.valid.loss},
                                                                  {"valid/accuracy", metrics.valid.accuracy}}) {
      const auto values = scalars_of(events, tag);
      BOOST_REQUIRE_EQUAL(values.size(), 2U);
      BOOST_TEST(values[epoch].first == metrics.step - 1, tag);
      BOOST_TEST(values[epoch].second == static_cast<float>(value), tag);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_rule_without_momentum_has_no_such_scalar) {
  const TemporaryFolder folder;
  SmallFit small;
  TensorBoardWriter writer(folder.path());
  small.run(half_data(4, 2), {&writer});
  BOOST_TEST(scalars_of(events_of(folder.path()), "train/momentum").empty());
}

BOOST_AUTO_TEST_CASE(pictures_are_the_files_of_the_run_folder) {
  const TemporaryFolder folder;
  const DataSet data = half_data(5, 3);
  SmallFit small;
  small.settings.epochs = 2;
  BatchSheet sheet(folder.path(), data);
  PredictionRecorder predictions(folder.path(), data);
  TensorBoardWriter writer(folder.path());
  small.run(data, {&sheet, &predictions, &writer});
  const std::vector<Message> events = events_of(folder.path());
  const auto batch = values_of(events, "pictures/first_batch");
  const auto worst = values_of(events, "pictures/worst");
  BOOST_REQUIRE_EQUAL(batch.size(), 1U);
  BOOST_REQUIRE_EQUAL(worst.size(), 2U);
  BOOST_TEST(batch[0].first == 0);
  BOOST_TEST(worst[1].first == 5);
  const Message picture(worst[1].second.text(4));
  BOOST_TEST(picture.bits(1) == 4U);
  BOOST_TEST(picture.bits(2) == 24U);
  BOOST_TEST(picture.bits(3) == 1U);
  BOOST_CHECK(picture.text(4) == read_text(folder / "worst.png"));
  BOOST_CHECK(Message(batch[0].second.text(4)).text(4) == read_text(folder / "batch.png"));
}

BOOST_AUTO_TEST_CASE(statistics_become_scalars_and_histograms) {
  const TemporaryFolder folder;
  const Network network = linear_network();
  Summary seen;
  seen.count = 10;
  seen.mean = 0.5;
  seen.squared_deviations = 3;
  seen.histogram[2] = 4;
  seen.histogram[4] = 5;  // the tenth value is above 10
  StepStatistics statistics;
  statistics.step = 30;
  statistics.gradient_norm = 0.25;
  statistics.layers.push_back({1, seen, seen});
  statistics.layers.push_back({0, Summary{}, {}});
  statistics.parameters.push_back({"1.weight", seen, {4, 0, 22, {}}});
  statistics.parameters.push_back({"1.bias", {4, 0, 0, {}}, {4, 0, 0, {}}});
  TensorBoardWriter(folder.path()).write(statistics, network);

  const std::vector<Message> events = events_of(folder.path());
  for (const auto& [tag, value] : std::map<std::string, double>{{"gradients/norm", 0.25},
                                                                {"output_mean/1", 0.5},
                                                                {"output_std/1", std::sqrt(3.0 / 9)},
                                                                {"gradient_mean/1", 0.5},
                                                                {"gradient_std/1", std::sqrt(3.0 / 9)},
                                                                {"update_ratio/1.weight", 2}}) {
    const auto values = scalars_of(events, tag);
    BOOST_REQUIRE_EQUAL(values.size(), 1U);
    BOOST_TEST(values[0].first == 30);
    BOOST_TEST(values[0].second == static_cast<float>(value), tag);
  }
  BOOST_TEST(scalars_of(events, "update_ratio/1.bias").empty());  // of nothing
  BOOST_TEST(scalars_of(events, "gradient_mean/0").empty());
  const auto histograms = values_of(events, "outputs/1");
  BOOST_REQUIRE_EQUAL(histograms.size(), 1U);
  const Message histogram(histograms[0].second.text(5));
  BOOST_TEST(histogram.real(1) == 0.5);
  BOOST_TEST(histogram.real(2) == 1.25);
  BOOST_TEST(histogram.real(3) == 9.0);
  BOOST_TEST(histogram.real(4) == 4 * 0.625 + 5 * 1.125);
  BOOST_CHECK_CLOSE(histogram.real(5), 5.5, 1e-10);
  BOOST_TEST(doubles(histogram.text(6)) == (std::vector<double>{0.75, 1.0, 1.25}),
             boost::test_tools::per_element());
  BOOST_TEST(doubles(histogram.text(7)) == (std::vector<double>{4, 0, 5}), boost::test_tools::per_element());
  BOOST_TEST(doubles(Message(values_of(events, "outputs/0").at(0).second.text(5)).text(7)).size() == 1U);
}

BOOST_AUTO_TEST_SUITE_END()
