// A network file as it is written: layers, blocks and settings by name. Nothing is expanded here and
// no shape is known yet; expand.cpp goes on from there.
#pragma once

#include "descent/error.h"
#include "descent/network.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace descent {

using Scalar = std::variant<std::int64_t, double, bool, std::string>;
// What stands behind a key: one scalar, or a list of them.
using Value = std::variant<Scalar, std::vector<Scalar>>;

using Settings = std::map<std::string, Value, std::less<>>;

// One line of a list of layers: an operation or the use of a block.
struct Entry {
  std::string name;
  std::string op;     // empty: a block
  std::string block;  // empty: an operation
  std::optional<std::vector<std::string>> from;
  Settings settings;  // fields of the operation, or arguments of the block
  std::int64_t line = 0;
};

struct Block {
  std::vector<Entry> entries;
  std::int64_t line = 0;
};

struct Document {
  std::string name;
  std::string summary;
  Shape input;
  std::int64_t classes = 0;
  Normalisation normalisation;
  std::map<std::string, Block, std::less<>> blocks;
  std::vector<Entry> layers;
};

// Throws Error naming `source`, the line and what is wrong with it.
[[nodiscard]] Document read_document(std::string_view text, const std::string& source);

// An error that already says where in which file it is.
class LocatedError : public Error {
  using Error::Error;
};

// Throws LocatedError "source, line 7: layer '0.1': message".
[[noreturn]] void fail_at(const std::string& source, std::int64_t line, std::string_view layer,
                          const std::string& message);

// An unknown key, layer or block: names the nearest right one.
[[nodiscard]] std::string unknown(std::string_view kind, std::string_view name,
                                  const std::vector<std::string>& known);

// The operation `name` with its fields set; "$key" settings are already replaced. Throws Error without
// the layer's name.
[[nodiscard]] Op read_op(std::string_view name, const Settings& settings);

}  // namespace descent
