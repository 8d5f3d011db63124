// Bytes for tests: fixtures, big-endian numbers, gzip, and damage done on purpose.
#pragma once

#include "descent/random.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

inline std::string read_bytes(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error("no fixture " + file.string());
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << bytes;
}

inline std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) bytes += static_cast<char>((value >> shift) & 0xffU);
  return bytes;
}

inline std::string gzip(const std::string& content) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  std::string result(deflateBound(&stream, static_cast<uLong>(content.size())) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate failed");
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

// The same damage for the same number: a bit flipped, a byte replaced, bytes removed, repeated or cut off,
// or an extreme 32-bit number written over four bytes; some get two or three of these.
inline std::string damaged(std::string bytes, std::uint64_t number) {
  const descent::RandomKey key{.seed = number, .purpose = descent::Purpose::demo};
  const std::uint32_t times = 1 + descent::random_bits(key, 0)[0] % 3;
  for (std::uint32_t i = 1; i <= times && !bytes.empty(); ++i) {
    const descent::RandomBits draw = descent::random_bits(key, i);
    // Half of the damage goes to the first bytes, where the headers are.
    const std::size_t range = draw[3] % 2 == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 64);
    const std::size_t at = draw[0] % range;
    switch (draw[1] % 6) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << draw[2] % 8));
        break;
      case 1:
        bytes[at] = static_cast<char>(draw[2] & 0xffU);
        break;
      case 2:
        bytes.erase(at, 1 + draw[2] % 8);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, 1 + draw[2] % 16));
        break;
      case 4:
        bytes.resize(at);
        break;
      default:
        bytes.replace(at, 4, big_endian(draw[2] % 2 == 0 ? 0xffffffffU : 0x7fffffffU >> draw[2] % 24));
        break;
    }
  }
  return bytes;
}
