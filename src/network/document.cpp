#include "network/document.h"

#include "base/names.h"
#include "base/toml.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace descent {

namespace {

constexpr std::size_t max_bytes = std::size_t{1} << 20U;
// Dotted keys nest tables; so many of them would overflow the stack when the tables are destroyed.
constexpr std::ptrdiff_t max_dots = 10000;
constexpr std::size_t max_entries = 10000;

std::int64_t line_of(const toml::node& node) {
  return static_cast<std::int64_t>(node.source().begin.line);
}

std::string kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

bool is_plain_name(std::string_view name, std::string_view more) {
  const auto plain = [more](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           more.find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= 100 && std::all_of(name.begin(), name.end(), plain);
}

// Reads one file: knows the source for messages.
class Reader {
 public:
  explicit Reader(const std::string& source) : source_(source) {}

  Document document(const toml::table& root) const;

 private:
  [[noreturn]] void fail(const toml::node& node, const std::string& message) const {
    fail_at(source_, line_of(node), {}, message);
  }
  void check_keys(const toml::table& table, std::string_view of, const std::vector<std::string>& known) const;
  const toml::node& need(const toml::table& table, std::string_view key, std::string_view of) const;

  std::string text(const toml::node& node, std::string_view key) const;
  std::int64_t whole(const toml::node& node, std::string_view key) const;
  const toml::table& table(const toml::node& node, std::string_view key) const;
  const toml::array& array(const toml::node& node, std::string_view key) const;
  Shape input(const toml::node& node) const;
  std::vector<float> numbers(const toml::node& node, std::string_view key, std::int64_t count) const;
  Normalisation normalisation(const toml::node& node, std::int64_t channels) const;
  Scalar scalar(const toml::node& node, std::string_view key) const;
  Value value(const toml::node& node, std::string_view key) const;
  Entry entry(const toml::table& table) const;
  std::vector<Entry> entries(const toml::node& node, std::string_view of) const;

  const std::string& source_;
};

void Reader::check_keys(const toml::table& table, std::string_view of,
                        const std::vector<std::string>& known) const {
  for (const auto& [key, node] : table) {
    if (std::find(known.begin(), known.end(), key.str()) == known.end()) {
      fail(node, fmt::format("{} has an {}", of, unknown("key", key.str(), known)));
    }
  }
}

const toml::node& Reader::need(const toml::table& table, std::string_view key, std::string_view of) const {
  const toml::node* node = table.get(key);
  if (node == nullptr) fail(table, fmt::format("{} has no '{}'", of, key));
  return *node;
}

std::string Reader::text(const toml::node& node, std::string_view key) const {
  if (!node.is_string()) fail(node, fmt::format("'{}' is {}, but must be text", key, kind_of(node)));
  return node.as_string()->get();
}

std::int64_t Reader::whole(const toml::node& node, std::string_view key) const {
  if (!node.is_integer()) fail(node, fmt::format("'{}' is {}, but must be a whole number", key, kind_of(node)));
  return node.as_integer()->get();
}

const toml::table& Reader::table(const toml::node& node, std::string_view key) const {
  if (!node.is_table()) fail(node, fmt::format("'{}' is {}, but must be a table", key, kind_of(node)));
  return *node.as_table();
}

const toml::array& Reader::array(const toml::node& node, std::string_view key) const {
  if (!node.is_array()) fail(node, fmt::format("'{}' is {}, but must be a list", key, kind_of(node)));
  return *node.as_array();
}

Shape Reader::input(const toml::node& node) const {
  constexpr std::int64_t max_side = 65536;
  const toml::array& list = array(node, "input");
  if (list.size() != 3) {
    fail(node, fmt::format("'input' has {} numbers, but must be [channels, height, width]", list.size()));
  }
  std::array<std::int64_t, 3> sizes{};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    sizes[i] = whole(list[i], "input");
    if (sizes[i] < 1 || sizes[i] > max_side) {
      fail(node, fmt::format("'input' holds {}, but sizes lie between 1 and {}", sizes[i], max_side));
    }
  }
  return Shape(sizes);
}

std::vector<float> Reader::numbers(const toml::node& node, std::string_view key, std::int64_t count) const {
  const toml::array& list = array(node, key);
  if (static_cast<std::int64_t>(list.size()) != count) {
    fail(node, fmt::format("'{}' has {} numbers, but the input has {} channels", key, list.size(), count));
  }
  std::vector<float> numbers;
  for (const toml::node& item : list) {
    const std::optional<double> number = item.value<double>();
    if (!number) fail(node, fmt::format("'{}' holds {}, but must hold numbers", key, kind_of(item)));
    const auto narrow = static_cast<float>(*number);
    if (!std::isfinite(narrow)) fail(node, fmt::format("'{}' holds a number that is not finite", key));
    numbers.push_back(narrow);
  }
  return numbers;
}

Normalisation Reader::normalisation(const toml::node& node, std::int64_t channels) const {
  const toml::table& pair = table(node, "normalisation");
  check_keys(pair, "'normalisation'", {"mean", "std"});
  Normalisation result{numbers(need(pair, "mean", "'normalisation'"), "mean", channels),
                       numbers(need(pair, "std", "'normalisation'"), "std", channels)};
  if (std::any_of(result.std.begin(), result.std.end(), [](float std) { return std <= 0.0F; })) {
    fail(node, "'std' must be greater than 0");
  }
  return result;
}

Scalar Reader::scalar(const toml::node& node, std::string_view key) const {
  if (node.is_integer()) return node.as_integer()->get();
  if (node.is_floating_point()) return node.as_floating_point()->get();
  if (node.is_boolean()) return node.as_boolean()->get();
  if (node.is_string()) return node.as_string()->get();
  fail(node, fmt::format("'{}' holds {}, which no layer takes", shown(key), kind_of(node)));
}

Value Reader::value(const toml::node& node, std::string_view key) const {
  if (!node.is_array()) return scalar(node, key);
  std::vector<Scalar> list;
  for (const toml::node& item : *node.as_array()) list.push_back(scalar(item, key));
  return list;
}

Entry Reader::entry(const toml::table& table) const {
  Entry entry;
  entry.line = line_of(table);
  entry.name = text(need(table, "name", "a layer"), "name");
  // Braces repeat the layer; their content is checked when they are expanded.
  if (!is_plain_name(entry.name, ".{}") || entry.name == "input") {
    fail(table, fmt::format("a layer cannot be named '{}': names are up to 100 letters, digits, '_', '-' and "
                            "'.', and 'input' is taken",
                            shown(entry.name)));
  }
  for (const auto& [key, node] : table) {
    const std::string_view name = key.str();
    if (name == "name") continue;
    if (name == "op") {
      entry.op = text(node, name);
    } else if (name == "block") {
      entry.block = text(node, name);
    } else if (name == "from") {
      std::vector<std::string> from;
      if (node.is_array()) {
        for (const toml::node& item : *node.as_array()) from.push_back(text(item, "from"));
      } else {
        from.push_back(text(node, name));
      }
      entry.from = std::move(from);
    } else {
      entry.settings.emplace(name, value(node, name));
    }
  }
  if (entry.op.empty() == entry.block.empty()) {
    fail_at(source_, entry.line, entry.name, "must have either an 'op' or a 'block'");
  }
  return entry;
}

std::vector<Entry> Reader::entries(const toml::node& node, std::string_view of) const {
  const toml::array& list = array(node, "layers");
  if (list.empty()) fail(node, fmt::format("{} has no layers", of));
  if (list.size() > max_entries) fail(node, fmt::format("{} has more than {} layers", of, max_entries));
  std::vector<Entry> entries;
  for (const toml::node& item : list) entries.push_back(entry(table(item, "layers")));
  return entries;
}

Document Reader::document(const toml::table& root) const {
  constexpr std::string_view whole_file = "the network";
  check_keys(root, whole_file, {"name", "summary", "input", "classes", "normalisation", "block", "layers"});
  Document document;
  document.name = text(need(root, "name", whole_file), "name");
  // It becomes part of the names of folders.
  if (!is_plain_name(document.name, ".") || document.name.front() == '.') {
    fail(root,
         fmt::format("'name' is '{}', but must be letters, digits, '_', '-' and '.'", shown(document.name)));
  }
  if (const toml::node* summary = root.get("summary")) document.summary = text(*summary, "summary");
  document.input = input(need(root, "input", whole_file));
  document.classes = whole(need(root, "classes", whole_file), "classes");
  if (document.classes < 1)
    fail(root, fmt::format("'classes' is {}, but must be at least 1", document.classes));
  document.normalisation = normalisation(need(root, "normalisation", whole_file), document.input[0]);
  if (const toml::node* blocks = root.get("block")) {
    for (const auto& [key, node] : table(*blocks, "block")) {
      const std::string of = fmt::format("block '{}'", shown(key.str()));
      const toml::table& block = table(node, shown(key.str()));
      check_keys(block, of, {"layers"});
      document.blocks.emplace(key.str(), Block{entries(need(block, "layers", of), of), line_of(node)});
    }
  }
  document.layers = entries(need(root, "layers", whole_file), whole_file);
  return document;
}

}  // namespace

void fail_at(const std::string& source, std::int64_t line, std::string_view layer, const std::string& message) {
  std::string where = source;
  if (line > 0) where += fmt::format(", line {}", line);
  if (!layer.empty()) where += fmt::format(": layer '{}'", shown(layer));
  throw LocatedError(where + ": " + message);
}

std::string unknown(std::string_view kind, std::string_view name, const std::vector<std::string>& known) {
  if (known.empty()) return fmt::format("unknown {} '{}': there is none", kind, shown(name));
  const std::vector<std::string_view> candidates(known.begin(), known.end());
  return unknown_name(kind, shown(name), candidates);
}

Document read_document(std::string_view text, const std::string& source) {
  if (text.size() > max_bytes) {
    throw Error(fmt::format("{} has {} bytes; a network file has at most {}", source, text.size(), max_bytes));
  }
  if (std::count(text.begin(), text.end(), '.') > max_dots) {
    throw Error(fmt::format("{} holds more than {} dots; use repeated names and blocks", source, max_dots));
  }
  try {
    return Reader(source).document(toml::parse(text));
  } catch (const toml::parse_error& error) {
    fail_at(source, static_cast<std::int64_t>(error.source().begin.line), {},
            fmt::format("not valid TOML: {}", shown(error.description())));
  }
}

}  // namespace descent
