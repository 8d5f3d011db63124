// TensorBoard's event files: records of Event messages in protobuf's wire encoding, written by hand.
// (tensorflow/core/util/event.proto, framework/summary.proto; lib/io/record_writer: TFRecord.)
#pragma once

#include "base/files.h"
#include "descent/statistics.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace descent {

// CRC-32C (Castagnoli; RFC 3720), as record files check their content with.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);

// A record: length, its masked checksum, content, its masked checksum.
[[nodiscard]] std::string event_record(std::string_view content);

// What one step shows under several tags: a Summary message.
class EventValues {
 public:
  void add_scalar(std::string_view tag, double value);
  // Of a summary's histogram of absolute values. Their smallest and largest are the edges of the bins that hold
  // any, their sum is that of the bins' middles; the sum of squares is exact.
  void add_histogram(std::string_view tag, const Summary& summary);
  void add_picture(std::string_view tag, const std::string& png);  // a file of png_bytes()

  [[nodiscard]] bool empty() const { return message_.empty(); }
  [[nodiscard]] const std::string& message() const { return message_; }

 private:
  void add(std::string_view tag, const std::string& content);
  std::string message_;
};

// A new event file in `folder`, named after now, this machine and this process; of an older run's ones there,
// none is left. A kill leaves whole records.
class EventFile {
 public:
  explicit EventFile(const std::filesystem::path& folder);
  void write(std::int64_t step, const EventValues& values);

 private:
  RecordWriter file_;
};

}  // namespace descent
