#include "weights/header.h"

#include "base/names.h"
#include "descent/error.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

namespace descent {

namespace {

using Json = nlohmann::json;

struct TypeName {
  DType type;
  std::string_view name;
};
constexpr std::array type_names{TypeName{DType::f64, "F64"},   TypeName{DType::f32, "F32"},
                                TypeName{DType::bf16, "BF16"}, TypeName{DType::f16, "F16"},
                                TypeName{DType::i64, "I64"},   TypeName{DType::i32, "I32"},
                                TypeName{DType::u8, "U8"}};

// Reads the header token by token, so that duplicate keys are seen and nothing nests deeper than the
// format does: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  HeaderReader(Header& header, const std::string& source) : header_(header), source_(source) {}

  bool null() override { refuse("a null"); }
  bool boolean(bool /*value*/) override { refuse("a true or false"); }
  bool number_integer(number_integer_t /*value*/) override { refuse("a negative number"); }
  bool number_float(number_float_t /*value*/, const string_t& text) override {
    refuse("the number " + shown(text));
  }
  bool binary(binary_t& /*value*/) override { refuse("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::shape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        refuse("the number " + std::to_string(value));
      }
      entry_.shape.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets && offsets_ < 2) {
      (offsets_ == 0 ? entry_.begin : entry_.end) = value;
      ++offsets_;
    } else {
      refuse("the number " + std::to_string(value));
    }
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::metadata) {
      header_.metadata.insert_or_assign(key_, value);
    } else if (place_ == Place::tensor && key_ == "dtype") {
      entry_.type = type_named(value);
    } else {
      refuse("the text '" + shown(value) + "'");
    }
    return true;
  }

  bool start_object(std::size_t /*size*/) override {
    if (place_ == Place::start) {
      place_ = Place::root;
    } else if (place_ == Place::root && key_ == "__metadata__") {
      place_ = Place::metadata;
      keys_.clear();
    } else if (place_ == Place::root) {
      place_ = Place::tensor;
      keys_.clear();
      entry_ = HeaderEntry{};
      entry_.name = key_;
    } else {
      refuse("an object");
    }
    return true;
  }

  bool key(string_t& value) override {
    if (!(place_ == Place::root ? names_ : keys_).insert(value).second) {
      fail("the key '" + shown(value) + "' twice");
    }
    key_ = std::move(value);
    if (place_ == Place::tensor && key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") {
      fail("the unknown key '" + shown(key_) + "' in tensor '" + shown(entry_.name) + "'");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor) {
      if (keys_.size() != 3) {
        fail("tensor '" + shown(entry_.name) + "' without all of dtype, shape and data_offsets");
      }
      header_.entries.push_back(std::move(entry_));
    }
    place_ = place_ == Place::root ? Place::end : Place::root;
    return true;
  }

  bool start_array(std::size_t /*size*/) override {
    if (place_ == Place::tensor && key_ == "shape") {
      place_ = Place::shape;
    } else if (place_ == Place::tensor && key_ == "data_offsets") {
      place_ = Place::offsets;
      offsets_ = 0;
    } else {
      refuse("an array");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets && offsets_ != 2) refuse("too few offsets");
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    throw Error("'" + source_ + "' is not a safetensors file: its header is not JSON at byte " +
                std::to_string(position + 8));
  }

 private:
  enum class Place { start, root, metadata, tensor, shape, offsets, end };

  [[noreturn]] void fail(const std::string& what) const {
    throw Error("'" + source_ + "' is not a valid safetensors file: its header has " + what);
  }

  [[noreturn]] void refuse(const std::string& what) const {
    std::string where;
    if (place_ == Place::metadata || (place_ == Place::root && !key_.empty())) {
      where = " at '" + shown(key_) + "'";
    } else if (place_ != Place::start && place_ != Place::root) {
      where = " as " + key_ + " of tensor '" + shown(entry_.name) + "'";
    }
    fail(what + where);
  }

  [[nodiscard]] DType type_named(std::string_view text) const {
    const auto* found = std::ranges::find(type_names, text, &TypeName::name);
    if (found != type_names.end()) return found->type;
    throw Error("'" + source_ + "': tensor '" + shown(entry_.name) + "' has the element type '" + shown(text) +
                "'; read are F64, F32, BF16, F16, I64, I32 and U8");
  }

  Header& header_;
  const std::string& source_;
  Place place_ = Place::start;
  std::string key_;
  std::set<std::string> names_;  // of the root
  std::set<std::string> keys_;   // of the object at hand
  HeaderEntry entry_;
  int offsets_ = 0;
};

// Bytes that an entry's shape and type ask for; false if they are more than 64 bits can count.
bool wanted_bytes(const HeaderEntry& entry, std::uint64_t& bytes) {
  bytes = size_of(entry.type);
  for (const std::int64_t dimension : entry.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dimension), &bytes)) return false;
  }
  return true;
}

void check_entries(const std::vector<HeaderEntry>& entries, std::uint64_t data_bytes,
                   const std::string& source) {
  const auto fail = [&](const HeaderEntry& entry, const std::string& what) {
    throw Error("'" + source + "' is damaged: tensor '" + shown(entry.name) + "' " + what);
  };
  std::uint64_t position = 0;
  for (const HeaderEntry& entry : entries) {
    const std::string range = std::to_string(entry.begin) + " to " + std::to_string(entry.end);
    if (entry.end < entry.begin) fail(entry, "has data offsets that run backwards, " + range);
    std::uint64_t bytes = 0;
    if (!wanted_bytes(entry, bytes)) fail(entry, "has a shape too large for any file");
    if (bytes != entry.end - entry.begin) {
      fail(entry, "needs " + std::to_string(bytes) + " bytes for its shape, its data offsets hold " +
                      std::to_string(entry.end - entry.begin));
    }
    if (entry.begin > position) fail(entry, "leaves a hole before its data at " + range);
    if (entry.begin < position) fail(entry, "overlaps another tensor at " + range);
    if (entry.end > data_bytes) {
      fail(entry, "ends at byte " + std::to_string(entry.end) + " of the data, the file holds " +
                      std::to_string(data_bytes) + " (is it cut short?)");
    }
    position = entry.end;
  }
  if (position != data_bytes) {
    throw Error("'" + source + "' is damaged: " + std::to_string(data_bytes - position) +
                " bytes follow the last tensor");
  }
}

}  // namespace

Header parse_header(std::string_view json, std::uint64_t data_bytes, const std::string& source) {
  // The parser takes a zero byte for the end of the text and skips a byte order mark.
  if (!json.starts_with('{') || json.find('\0') != std::string_view::npos) {
    throw Error("'" + source + "' is not a safetensors file: its header is not a JSON object");
  }
  Header header;
  HeaderReader reader(header, source);
  Json::sax_parse(json.begin(), json.end(), &reader);
  std::ranges::stable_sort(header.entries, [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_entries(header.entries, data_bytes, source);
  return header;
}

std::string header_text(const std::map<std::string, std::string>& metadata,
                        const std::vector<const FileTensor*>& tensors) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t position = 0;
  for (const FileTensor* tensor : tensors) {
    const auto* type = std::ranges::find(type_names, tensor->type, &TypeName::type);
    const std::uint64_t end = position + tensor->bytes.size();
    header[tensor->name] = {{"dtype", type->name}, {"shape", tensor->shape}, {"data_offsets", {position, end}}};
    position = end;
  }
  // Names that are not UTF-8 (a folder's, as a class) must not make a file that nobody can read.
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace descent
