// The JSON header of a safetensors file.
#pragma once

#include "descent/weights.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace descent {

inline constexpr std::uint64_t max_header_bytes = 100'000'000;  // the format's own limit

// Where a tensor lies in the data behind the header: [begin, end).
struct HeaderEntry {
  std::string name;
  DType type = DType::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<HeaderEntry> entries;  // by offset
};

// Checks that the entries fill `data_bytes` from 0 without holes or overlap, and have the size that their
// shape asks for. Throws Error naming `source`.
[[nodiscard]] Header parse_header(std::string_view json, std::uint64_t data_bytes, const std::string& source);

// Header text of these tensors, in this order; padded with spaces to a multiple of eight bytes.
[[nodiscard]] std::string header_text(const std::map<std::string, std::string>& metadata,
                                      const std::vector<const FileTensor*>& tensors);

}  // namespace descent
