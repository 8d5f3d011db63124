#include "train/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <span>

namespace descent {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view name_begin = "events.out.tfevents.";

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  constexpr std::uint32_t polynomial = 0x82F63B78U;  // reflected
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1U) ^ ((value & 1U) != 0 ? polynomial : 0U);
    table[byte] = value;
  }
  return table;
}

std::uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U;
}

std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>((value >> (8U * static_cast<unsigned>(i))) & 0xFFU);
  return text;
}

// Protobuf's wire format: a field is its number and type, then its content.
enum class Wire : std::uint8_t { varint = 0, eight_bytes = 1, delimited = 2, four_bytes = 5 };

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80U; value >>= 7U) bytes += static_cast<char>((value & 0x7FU) | 0x80U);
  return bytes + static_cast<char>(value);
}

std::string key(std::uint32_t field, Wire wire) {
  return varint(field << 3U | static_cast<std::uint32_t>(wire));
}

std::string integer_field(std::uint32_t field, std::int64_t value) {
  return key(field, Wire::varint) + varint(static_cast<std::uint64_t>(value));
}
std::string double_bytes(double value) {
  return little_endian(std::bit_cast<std::uint64_t>(value), 8);
}
std::string double_field(std::uint32_t field, double value) {
  return key(field, Wire::eight_bytes) + double_bytes(value);
}
std::string float_field(std::uint32_t field, float value) {
  return key(field, Wire::four_bytes) + little_endian(std::bit_cast<std::uint32_t>(value), 4);
}
std::string bytes_field(std::uint32_t field, std::string_view value) {
  return key(field, Wire::delimited) + varint(value.size()) + std::string(value);
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// After the files of a run that is overwritten are gone: a reader would join them with the new one.
fs::path new_file(const fs::path& folder) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename().string().starts_with(name_begin)) fs::remove(entry.path(), error);
  }
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0 || host.front() == '\0') host = {"localhost"};
  return folder / fmt::format("{}{}.{}.{}", name_begin, static_cast<std::int64_t>(seconds_now()), host.data(),
                              ::getpid());
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> table = make_crc_table();
  std::uint32_t crc = ~0U;
  for (const char byte : bytes) crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xFFU] ^ (crc >> 8U);
  return ~crc;
}

std::string event_record(std::string_view content) {
  const std::string length = little_endian(content.size(), 8);
  return length + little_endian(masked_crc(length), 4) + std::string(content) +
         little_endian(masked_crc(content), 4);
}

void EventValues::add(std::string_view tag, const std::string& content) {
  message_ += bytes_field(1, bytes_field(1, tag) + content);
}

void EventValues::add_scalar(std::string_view tag, double value) {
  add(tag, float_field(2, static_cast<float>(value)));
}

void EventValues::add_histogram(std::string_view tag, const Summary& summary) {
  std::size_t first = 0;
  std::size_t end = Summary::bins;
  while (end > 1 && summary.histogram.at(end - 1) == 0) --end;
  while (first + 1 < end && summary.histogram.at(first) == 0) ++first;

  double number = 0;
  double sum = 0;
  std::string limits;
  std::string counts;
  for (std::size_t bin = first; bin < end; ++bin) {
    const double low = Summary::bin_width * static_cast<double>(bin);
    const auto count = static_cast<double>(summary.histogram.at(bin));
    number += count;
    sum += count * (low + Summary::bin_width / 2);
    limits += double_bytes(low + Summary::bin_width);
    counts += double_bytes(count);
  }
  add(tag, bytes_field(5, double_field(1, Summary::bin_width * static_cast<double>(first)) +
                              double_field(2, Summary::bin_width * static_cast<double>(end)) +
                              double_field(3, number) + double_field(4, sum) +
                              double_field(5, summary.norm() * summary.norm()) + bytes_field(6, limits) +
                              bytes_field(7, counts)));
}

void EventValues::add_picture(std::string_view tag, const std::string& png) {
  // Where a PNG file's first chunk, IHDR, has them.
  constexpr std::size_t width_at = 16;
  constexpr std::size_t height_at = 20;
  constexpr std::size_t colour_at = 25;
  constexpr std::uint8_t grey = 0;
  const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(png.at(at)); };
  const auto number = [&](std::size_t at) {
    return std::int64_t{byte(at)} << 24 | byte(at + 1) << 16 | byte(at + 2) << 8 | byte(at + 3);
  };
  const std::int64_t channels = byte(colour_at) == grey ? 1 : 3;
  add(tag, bytes_field(4, integer_field(1, number(height_at)) + integer_field(2, number(width_at)) +
                              integer_field(3, channels) + bytes_field(4, png)));
}

EventFile::EventFile(const fs::path& folder) : file_(new_file(folder)) {
  file_.write(event_record(double_field(1, seconds_now()) + bytes_field(3, "brain.Event:2")));
}

void EventFile::write(std::int64_t step, const EventValues& values) {
  if (values.empty()) return;
  file_.write(
      event_record(double_field(1, seconds_now()) + integer_field(2, step) + bytes_field(5, values.message())));
}

}  // namespace descent
