// Reading a gzip file that lies in memory.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace descent {

[[nodiscard]] bool is_gzip(std::string_view content);

// Fills `out` with what the file holds if it is one whole member of exactly that size, its checksum right;
// several times faster than GzipReader, which knows more kinds of files and can say what is wrong with one.
[[nodiscard]] bool inflate_whole(std::string_view content, std::span<std::uint8_t> out);

// Inflates piece by piece; the caller decides how much, so a small file cannot fill the memory.
// `content` must outlive the reader. Throws Error naming `source` if the stream is damaged or cut short.
class GzipReader {
 public:
  GzipReader(std::string_view content, std::string source);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  // Fills `out`; returns fewer bytes only where the data end (checksum verified by then).
  std::size_t read(std::span<std::uint8_t> out);

  // No file of this size inflates to more (deflate's best is 1032 : 1).
  [[nodiscard]] static std::uint64_t most_inflated(std::size_t compressed_bytes);

 private:
  bool next_member();

  z_stream stream_{};
  std::string source_;
  bool ended_ = false;
};

}  // namespace descent
