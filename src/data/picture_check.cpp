#include "data/picture_check.h"

#include "descent/error.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>

namespace descent {

namespace {

using Bytes = std::span<const std::uint8_t>;

[[noreturn]] void fail(const std::string& source, std::string_view reason) {
  throw Error(fmt::format("'{}' cannot be decoded: {}", source, reason));
}

bool starts_with(Bytes bytes, std::string_view signature) {
  return bytes.size() >= signature.size() &&
         std::equal(signature.begin(), signature.end(), bytes.begin(),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

std::uint32_t big32(Bytes b) {
  return (std::uint32_t{b[0]} << 24U) | (std::uint32_t{b[1]} << 16U) | (std::uint32_t{b[2]} << 8U) | b[3];
}
std::uint32_t little32(Bytes b) {
  return (std::uint32_t{b[3]} << 24U) | (std::uint32_t{b[2]} << 16U) | (std::uint32_t{b[1]} << 8U) | b[0];
}
std::uint32_t little16(Bytes b) {
  return (std::uint32_t{b[1]} << 8U) | b[0];
}

// --- PNG -------------------------------------------------------------------------------------------

constexpr std::string_view png_signature = "\x89PNG\r\n\x1a\n";
constexpr std::size_t png_chunk_extra = 12;  // length, type, checksum

struct PngHeader {
  std::uint64_t width = 0;
  std::uint64_t height = 0;
  std::uint64_t bits_per_pixel = 0;
  bool interlaced = false;
};

PngHeader png_header(Bytes data, const std::string& source) {
  if (data.size() != 13) fail(source, "its PNG header is damaged");
  check_dimensions(big32(data), big32(data.subspan(4)), source);
  constexpr std::array<unsigned, 7> channels{1, 0, 3, 1, 2, 0, 4};  // by colour type
  const unsigned depth = data[8];
  const unsigned type = data[9];
  const bool depth_known = depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
  if (type >= channels.size() || channels[type] == 0 || !depth_known || data[12] > 1) {
    fail(source, "its PNG header has an unknown colour type, depth or interlacing");
  }
  return {big32(data), big32(data.subspan(4)), std::uint64_t{channels[type]} * depth, data[12] == 1};
}

// Bytes of all rows with their filter bytes; an interlaced picture is seven smaller ones.
std::uint64_t png_raw_bytes(const PngHeader& header) {
  struct Pass {
    unsigned x, y, dx, dy;
  };
  constexpr std::array<Pass, 7> adam7{
      {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}};
  constexpr std::array<Pass, 1> whole{{{0, 0, 1, 1}}};
  std::uint64_t total = 0;
  const std::span<const Pass> passes = header.interlaced ? std::span<const Pass>(adam7) : whole;
  for (const Pass& pass : passes) {
    if (header.width <= pass.x || header.height <= pass.y) continue;
    const std::uint64_t columns = (header.width - pass.x + pass.dx - 1) / pass.dx;
    const std::uint64_t rows = (header.height - pass.y + pass.dy - 1) / pass.dy;
    total += rows * (1 + (columns * header.bits_per_pixel + 7) / 8);
  }
  return total;
}

// Counts what the picture's data inflate to, in a small window, and stops at the first byte too many.
class PngInflater {
 public:
  PngInflater(std::uint64_t expected, const std::string& source) : expected_(expected), source_(source) {
    if (inflateInit(&stream_) != Z_OK) throw std::bad_alloc();
  }
  ~PngInflater() { inflateEnd(&stream_); }
  PngInflater(const PngInflater&) = delete;
  PngInflater& operator=(const PngInflater&) = delete;

  void feed(Bytes data) {
    stream_.next_in = const_cast<Bytef*>(data.data());  // zlib never writes through it
    stream_.avail_in = static_cast<uInt>(data.size());
    while (stream_.avail_in > 0 && !ended_) {
      stream_.next_out = window_.data();
      stream_.avail_out = static_cast<uInt>(window_.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      inflated_ += window_.size() - stream_.avail_out;
      if (code == Z_MEM_ERROR) throw std::bad_alloc();
      if (code != Z_OK && code != Z_STREAM_END) fail(source_, "its compressed data are damaged");
      if (inflated_ > expected_) fail(source_, "it holds more data than its size allows");
      ended_ = code == Z_STREAM_END;
    }
  }
  void finish() const {
    if (!ended_ || inflated_ < expected_) fail(source_, "it is cut short");
  }

 private:
  z_stream stream_{};
  std::array<std::uint8_t, 32768> window_{};
  std::uint64_t expected_;
  std::uint64_t inflated_ = 0;
  const std::string& source_;
  bool ended_ = false;
};

void check_png(Bytes bytes, const std::string& source) {
  Bytes rest = bytes.subspan(png_signature.size());
  std::unique_ptr<PngInflater> inflater;
  while (true) {
    if (rest.size() < png_chunk_extra) fail(source, "it is cut short");
    const std::size_t length = big32(rest);
    if (length > rest.size() - png_chunk_extra) fail(source, "it is cut short, or a chunk's length is damaged");
    const Bytes type = rest.subspan(4, 4);
    const Bytes data = rest.subspan(8, length);
    // zlib starts a new sum where it is given no data: an empty chunk must not pass through it.
    uLong sum = crc32(0, type.data(), 4);
    if (length > 0) sum = crc32(sum, data.data(), static_cast<uInt>(length));
    if (sum != big32(rest.subspan(8 + length))) fail(source, "a checksum is wrong");
    if (inflater == nullptr) {
      if (!starts_with(type, "IHDR")) fail(source, "its PNG header is missing");
      inflater = std::make_unique<PngInflater>(png_raw_bytes(png_header(data, source)), source);
    } else if (starts_with(type, "IDAT")) {
      inflater->feed(data);
    } else if (starts_with(type, "IEND")) {
      return inflater->finish();
    }
    rest = rest.subspan(length + png_chunk_extra);
  }
}

// --- JPEG ------------------------------------------------------------------------------------------

constexpr std::uint8_t jpeg_end = 0xd9;
constexpr std::uint8_t jpeg_scan = 0xda;
constexpr std::uint8_t jpeg_huffman_tables = 0xc4;

bool is_frame(std::uint8_t marker) {  // SOF0 … SOF15 without DHT, JPG, DAC
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}
bool stands_alone(std::uint8_t marker) {
  return marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8);
}

// Code lengths of up to 256 symbols a table: decoders before 2023 write past their table where there are more.
void check_huffman_tables(Bytes segment, const std::string& source) {
  constexpr std::size_t head = 17;  // class and number, then how many codes there are of each length 1 … 16
  while (!segment.empty()) {
    if (segment.size() < head) fail(source, "a Huffman table is damaged");
    std::size_t symbols = 0;
    for (const std::uint8_t count : segment.subspan(1, head - 1)) symbols += count;
    if (symbols > 256 || symbols > segment.size() - head) fail(source, "a Huffman table is damaged");
    segment = segment.subspan(head + symbols);
  }
}

// Walks the markers to the end marker; within a scan, FF 00 is data and FF D0 … D7 are restarts.
void check_jpeg(Bytes bytes, const std::string& source) {
  bool frame_seen = false;
  bool scan_seen = false;
  std::size_t at = 2;
  while (true) {
    while (at < bytes.size() && (bytes[at] != 0xff)) ++at;  // entropy-coded data, or stray bytes
    while (at < bytes.size() && bytes[at] == 0xff) ++at;
    if (at >= bytes.size()) fail(source, "it is cut short");
    const std::uint8_t marker = bytes[at++];
    if (marker == 0x00 || stands_alone(marker)) continue;
    if (marker == jpeg_end) break;
    if (bytes.size() - at < 2) fail(source, "it is cut short");
    const std::size_t length = (std::size_t{bytes[at]} << 8U) | bytes[at + 1];
    if (length < 2) fail(source, "a segment's length is damaged");
    if (length > bytes.size() - at) fail(source, "it is cut short");
    if (is_frame(marker)) {
      if (length < 8) fail(source, "its frame header is damaged");
      check_dimensions((bytes[at + 5] << 8) | bytes[at + 6], (bytes[at + 3] << 8) | bytes[at + 4], source);
      frame_seen = true;
    }
    if (marker == jpeg_huffman_tables) check_huffman_tables(bytes.subspan(at + 2, length - 2), source);
    scan_seen = scan_seen || marker == jpeg_scan;
    at += length;
  }
  if (!frame_seen || !scan_seen) fail(source, "it ends before its picture");
}

// --- BMP -------------------------------------------------------------------------------------------

void check_bmp(Bytes bytes, const std::string& source) {
  constexpr std::size_t file_header = 14;
  constexpr std::size_t info_header = 40;
  if (bytes.size() < file_header + 12) fail(source, "it is cut short");
  const std::uint64_t offset = little32(bytes.subspan(10));
  const std::uint32_t header_size = little32(bytes.subspan(14));
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::uint64_t bits = 0;
  bool run_lengths = false;  // compressed: of any size, and refused by the decoder
  if (header_size == 12) {
    width = little16(bytes.subspan(18));
    height = little16(bytes.subspan(20));
    bits = little16(bytes.subspan(24));
  } else {
    if (bytes.size() < file_header + info_header) fail(source, "it is cut short");
    width = static_cast<std::int32_t>(little32(bytes.subspan(18)));
    height =
        std::abs(std::int64_t{static_cast<std::int32_t>(little32(bytes.subspan(22)))});  // < 0: top row first
    bits = little16(bytes.subspan(28));
    const std::uint32_t compression = little32(bytes.subspan(30));
    run_lengths = compression == 1 || compression == 2;
  }
  check_dimensions(width, height, source);
  const std::uint64_t row = (static_cast<std::uint64_t>(width) * bits + 31) / 32 * 4;
  if (offset + row * static_cast<std::uint64_t>(height) > bytes.size() && !run_lengths) {
    fail(source, "it is cut short");
  }
}

}  // namespace

void check_dimensions(std::int64_t width, std::int64_t height, const std::string& source) {
  if (width <= 0 || height <= 0) fail(source, fmt::format("its size is {}×{}", width, height));
  if (width > most_side || height > most_side || width * height > most_pixels) {
    fail(source, fmt::format("it has {}×{} pixels; at most 64 million are read, and {} a side", width, height,
                             most_side));
  }
}

void check_encoded(Bytes encoded, const std::string& source) {
  if (encoded.empty()) fail(source, "it is empty");
  if (encoded.size() > most_picture_bytes) {
    fail(source, fmt::format("it has {} bytes; at most {} are read", encoded.size(), most_picture_bytes));
  }
  if (starts_with(encoded, png_signature)) {
    check_png(encoded, source);
  } else if (starts_with(encoded, "\xff\xd8\xff")) {
    check_jpeg(encoded, source);
  } else if (starts_with(encoded, "BM")) {
    check_bmp(encoded, source);
  } else {
    fail(source, "it is not a JPEG, PNG or BMP picture");
  }
}

}  // namespace descent
