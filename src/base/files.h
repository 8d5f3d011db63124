// Reading and writing whole files safely.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace descent {

// ".jpg" of "IMG_1.JPG".
[[nodiscard]] std::string lower_case_ending(const std::filesystem::path& file);

// The whole file. Throws Error naming it if it is missing, not a regular file, or larger than `limit` bytes.
[[nodiscard]] std::string read_file(const std::filesystem::path& file, std::size_t limit);

// Written beside (same folder, a name of its own), flushed to disk, renamed over: a kill leaves the old
// file or the new one. Throws Error (Fault::failure) naming the file.
void write_file_atomically(const std::filesystem::path& file, std::string_view content);
void write_file_atomically(const std::filesystem::path& file, std::span<const std::string_view> parts);

// A file that grows by whole records, one write call each.
class RecordWriter {
 public:
  enum class Start : std::uint8_t { empty, append };
  explicit RecordWriter(const std::filesystem::path& file, Start start = Start::empty);  // creates it
  ~RecordWriter();
  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;

  void write(std::string_view record);

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
};

// A text file that grows by whole lines, one write call each.
class LineWriter {
 public:
  // Creates the file with its `header`. Of one that is there rows stay that begin with a whole number below
  // `kept_below`, where a run is taken up; the others go. Throws Error if that one has another header.
  LineWriter(const std::filesystem::path& file, std::string_view header, std::int64_t kept_below = 0);

  void write(std::string line);  // the newline is added

 private:
  RecordWriter file_;
};

// Creates the folder if needed and makes sure that files can be written into it. Throws Error.
void require_writable_folder(const std::filesystem::path& folder);

}  // namespace descent
