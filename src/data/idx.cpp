// IDX: 00 00, element type, number of dimensions, each dimension as a big-endian 32-bit number, the data.
#include "base/files.h"
#include "base/pages.h"
#include "data/gzip.h"
#include "descent/data.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace descent {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t most_bytes = 2'000'000'000;  // of a file, and of what it inflates to
constexpr std::uint8_t unsigned_byte = 0x08;
constexpr std::size_t picture_rank = 3;
constexpr std::size_t label_rank = 1;

// The bytes of a file, inflated on the way if it is gzip.
class ByteReader {
 public:
  explicit ByteReader(const fs::path& file) : content_(read_file(file, most_bytes)), rest_(content_) {
    if (content_.empty()) throw Error("'" + file.string() + "' is empty");
    if (is_gzip(content_)) gzip_.emplace(content_, file.string());
  }

  std::size_t read(std::span<std::uint8_t> out) {
    if (gzip_) return gzip_->read(out);
    const std::size_t count = std::min(out.size(), rest_.size());
    if (count > 0) std::memcpy(out.data(), rest_.data(), count);
    rest_.remove_prefix(count);
    return count;
  }

  // The same as read() from the first byte on, where the whole file is of a kind that can be read at once.
  [[nodiscard]] bool read_whole(std::span<std::uint8_t> out) const {
    return gzip_ && inflate_whole(content_, out);
  }

  // An upper bound of the bytes that are still to come, known without reading them.
  [[nodiscard]] std::uint64_t most_left() const {
    return gzip_ ? GzipReader::most_inflated(content_.size()) : rest_.size();
  }

 private:
  std::string content_;
  std::string_view rest_;
  std::optional<GzipReader> gzip_;
};

std::string_view what_of(std::size_t rank) {
  return rank == picture_rank ? "pictures" : "labels";
}

void check_magic(std::span<const std::uint8_t, 4> magic, std::size_t rank, const std::string& name) {
  const std::string seen = fmt::format("{:02x}{:02x}{:02x}{:02x}", magic[0], magic[1], magic[2], magic[3]);
  const std::string wanted = fmt::format("0000{:02x}{:02x}", unsigned_byte, rank);
  if (magic[0] != 0 || magic[1] != 0) {
    throw Error(fmt::format("'{}' is not an IDX file: it starts with {}, not {}", name, seen, wanted));
  }
  if (magic[2] != unsigned_byte) {
    throw Error(fmt::format("'{}' has elements of IDX type 0x{:02x}; only unsigned bytes (0x08) are read", name,
                            magic[2]));
  }
  const std::size_t other = rank == picture_rank ? label_rank : picture_rank;
  if (magic[3] == other) {
    throw Error(fmt::format("'{}' holds {} where {} are needed: it starts with {}, not {}", name,
                            what_of(other), what_of(rank), seen, wanted));
  }
  if (magic[3] != rank) {
    throw Error(fmt::format("'{}' has {} dimensions; IDX {} have {}", name, magic[3], what_of(rank), rank));
  }
}

struct IdxContent {
  std::vector<std::int64_t> dimensions;
  std::vector<std::uint8_t> data;
};

// Sizes come from the header, so they are held against what the file can give before memory is taken.
std::uint64_t checked_size(std::span<const std::int64_t> dimensions, std::uint64_t most_left,
                           const std::string& name) {
  std::uint64_t size = 1;
  const std::string shape = fmt::format("{}", fmt::join(dimensions, "×"));
  for (const std::int64_t dimension : dimensions) {
    if (dimension == 0) throw Error(fmt::format("'{}' has a dimension of zero: {}", name, shape));
    size *= static_cast<std::uint64_t>(dimension);  // below 2³¹ · 2³²: no overflow
    if (size > most_bytes) {
      throw Error(fmt::format("'{}' claims {} bytes of data; at most {} are read", name, shape, most_bytes));
    }
  }
  if (size > most_left) {
    throw Error(
        fmt::format("'{}' is cut short or damaged: its header promises {} = {} bytes, more than it holds", name,
                    shape, size));
  }
  return size;
}

IdxContent read_idx(const fs::path& file, std::size_t rank) {
  const std::string name = file.string();
  ByteReader reader(file);
  std::array<std::uint8_t, 4> word{};
  if (reader.read(word) != word.size()) throw Error(fmt::format("'{}' is too short for an IDX file", name));
  check_magic(word, rank, name);

  IdxContent content;
  for (std::size_t i = 0; i < rank; ++i) {
    if (reader.read(word) != word.size()) throw Error(fmt::format("'{}' ends within its IDX header", name));
    content.dimensions.push_back((std::int64_t{word[0]} << 24) | (word[1] << 16) | (word[2] << 8) | word[3]);
  }
  const std::uint64_t size = checked_size(content.dimensions, reader.most_left(), name);
  const std::size_t header = word.size() * (rank + 1);
  reserve_in_large_pages(content.data, header + size);
  content.data.resize(header + size);
  if (reader.read_whole(content.data)) {
    content.data.erase(content.data.begin(), content.data.begin() + static_cast<std::ptrdiff_t>(header));
    return content;
  }
  content.data.resize(size);
  const std::size_t got = reader.read(content.data);
  if (got != content.data.size()) {
    throw Error(fmt::format("'{}' is cut short: its header promises {} = {} bytes, it has {}", name,
                            fmt::join(content.dimensions, "×"), content.data.size(), got));
  }
  if (reader.read(std::span(word).first(1)) != 0) {
    throw Error(fmt::format("'{}' has more bytes than the {} = {} that its header promises", name,
                            fmt::join(content.dimensions, "×"), content.data.size()));
  }
  return content;
}

}  // namespace

PictureSet load_idx_pictures(const fs::path& pictures) {
  IdxContent content = read_idx(pictures, picture_rank);
  PictureSet set;
  set.shape = Shape{1, content.dimensions[1], content.dimensions[2]};
  set.pictures = std::move(content.data);
  return set;
}

PictureSet load_idx_pair(const fs::path& pictures, const fs::path& labels) {
  PictureSet set = load_idx_pictures(pictures);
  const IdxContent content = read_idx(labels, label_rank);
  const std::size_t count = set.pictures.size() / static_cast<std::size_t>(set.shape.elements());
  if (content.data.size() != count) {
    throw Error(fmt::format("'{}' has {} pictures but '{}' has {} labels", pictures.string(), count,
                            labels.string(), content.data.size()));
  }
  set.labels.assign(content.data.begin(), content.data.end());
  return set;
}

}  // namespace descent
