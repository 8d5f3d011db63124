#include "data/gzip.h"

#include "descent/error.h"

#include <libdeflate.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <new>
#include <utility>

namespace descent {

namespace {
constexpr int gzip_window = 15 + 16;  // zlib's way of saying: a gzip header, the largest window
}

bool is_gzip(std::string_view content) {
  return content.starts_with("\x1f\x8b");
}

bool inflate_whole(std::string_view content, std::span<std::uint8_t> out) {
  const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)> decompressor(
      libdeflate_alloc_decompressor(), &libdeflate_free_decompressor);
  if (!decompressor) throw std::bad_alloc();
  std::size_t used = 0;
  const libdeflate_result result = libdeflate_gzip_decompress_ex(
      decompressor.get(), content.data(), content.size(), out.data(), out.size(), &used, nullptr);
  return result == LIBDEFLATE_SUCCESS && used == content.size();
}

GzipReader::GzipReader(std::string_view content, std::string source) : source_(std::move(source)) {
  if (content.size() > std::numeric_limits<uInt>::max()) throw Error("'" + source_ + "' is too large");
  // zlib's interface is not const-correct; it never writes through next_in.
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream_.avail_in = static_cast<uInt>(content.size());
  if (inflateInit2(&stream_, gzip_window) != Z_OK) throw std::bad_alloc();
}

GzipReader::~GzipReader() {
  inflateEnd(&stream_);
}

// A gzip file may be several members one after the other.
bool GzipReader::next_member() {
  if (stream_.avail_in == 0) return false;
  if (stream_.avail_in < 2 || stream_.next_in[0] != 0x1f || stream_.next_in[1] != 0x8b) {
    throw Error("'" + source_ + "' has " + std::to_string(stream_.avail_in) +
                " bytes after the end of its gzip data: fetch it again");
  }
  return inflateReset(&stream_) == Z_OK;
}

std::size_t GzipReader::read(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size() && !ended_) {
    const std::size_t piece = std::min<std::size_t>(out.size() - done, std::numeric_limits<uInt>::max());
    stream_.next_out = out.data() + done;
    stream_.avail_out = static_cast<uInt>(piece);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    done += piece - stream_.avail_out;
    if (code == Z_STREAM_END) {
      ended_ = !next_member();
    } else if (code == Z_BUF_ERROR || (code == Z_OK && stream_.avail_in == 0 && stream_.avail_out > 0)) {
      throw Error("'" + source_ + "' is a gzip file that was cut short: fetch it again");
    } else if (code == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (code != Z_OK) {
      const char* reason = stream_.msg != nullptr ? stream_.msg : "unreadable data";
      throw Error("'" + source_ + "' is a damaged gzip file (" + reason + "): fetch it again");
    }
  }
  return done;
}

std::uint64_t GzipReader::most_inflated(std::size_t compressed_bytes) {
  return static_cast<std::uint64_t>(compressed_bytes) * 1032U;
}

}  // namespace descent
