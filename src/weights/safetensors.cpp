#include "base/files.h"
#include "base/names.h"
#include "descent/error.h"
#include "descent/weights.h"
#include "weights/header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <set>

namespace descent {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

namespace {

// Reads exactly `bytes`, or throws.
void read_exactly(std::ifstream& stream, void* to, std::uint64_t bytes, const fs::path& file) {
  stream.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
  if (!stream || static_cast<std::uint64_t>(stream.gcount()) != bytes) {
    throw Error("cannot read '" + file.string() + "' to its end");
  }
}

}  // namespace

SafetensorsFile read_safetensors(const fs::path& file) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (!fs::exists(status)) throw Error("cannot read '" + file.string() + "': there is no such file");
  if (!fs::is_regular_file(status)) throw Error("'" + file.string() + "' is not a file");
  const std::uint64_t size = fs::file_size(file, error);
  std::ifstream stream(file, std::ios::binary);
  if (error || !stream) throw Error("cannot read '" + file.string() + "'");

  const std::string source = file.string();
  if (size < 8) {
    throw Error("'" + source + "' is not a safetensors file: it has only " + std::to_string(size) + " bytes");
  }
  std::uint64_t header_bytes = 0;
  read_exactly(stream, &header_bytes, sizeof header_bytes, file);
  if (header_bytes > max_header_bytes || header_bytes > size - 8) {
    throw Error("'" + source + "' is not a safetensors file, or is cut short: its header would have " +
                std::to_string(header_bytes) + " bytes, the file has " + std::to_string(size));
  }
  std::string json(header_bytes, '\0');
  read_exactly(stream, json.data(), header_bytes, file);
  Header header = parse_header(json, size - 8 - header_bytes, source);

  SafetensorsFile content;
  content.metadata = std::move(header.metadata);
  content.tensors.reserve(header.entries.size());
  for (HeaderEntry& entry : header.entries) {
    FileTensor& tensor = content.tensors.emplace_back();
    tensor.name = std::move(entry.name);
    tensor.type = entry.type;
    tensor.shape = std::move(entry.shape);
    tensor.bytes.resize(entry.end - entry.begin);  // at most the file's real size, all tensors together
    read_exactly(stream, tensor.bytes.data(), tensor.bytes.size(), file);
  }
  return content;
}

void write_safetensors(const fs::path& file, const SafetensorsFile& content) {
  std::vector<const FileTensor*> tensors;
  std::set<std::string_view> names;
  for (const FileTensor& tensor : content.tensors) {
    std::uint64_t bytes = size_of(tensor.type);
    for (const std::int64_t dimension : tensor.shape) bytes *= static_cast<std::uint64_t>(dimension);
    if (bytes != tensor.bytes.size() || !names.insert(tensor.name).second || tensor.name == "__metadata__") {
      throw Error("cannot write '" + file.string() + "': tensor '" + shown(tensor.name) +
                      "' has a name or a size that does not fit",
                  Fault::failure);
    }
    tensors.push_back(&tensor);
  }
  // Wide elements first, so that every tensor is aligned to its elements for readers that map the file.
  std::ranges::stable_sort(tensors, std::greater{}, [](const FileTensor* t) { return size_of(t->type); });

  const std::string header = header_text(content.metadata, tensors);
  const auto length = std::bit_cast<std::array<char, 8>>(static_cast<std::uint64_t>(header.size()));
  std::vector<std::string_view> parts{{length.data(), length.size()}, header};
  for (const FileTensor* tensor : tensors) {
    parts.emplace_back(reinterpret_cast<const char*>(tensor->bytes.data()), tensor->bytes.size());
  }
  write_file_atomically(file, parts);
}

}  // namespace descent
