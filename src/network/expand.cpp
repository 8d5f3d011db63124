// From a network file to the list of layers: blocks are expanded, inputs found, shapes inferred.
#include "base/names.h"
#include "descent/error.h"
#include "network/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

namespace descent {

namespace {

constexpr std::size_t max_layers = 10000;
constexpr std::size_t max_depth = 16;
constexpr std::size_t max_name = 200;
constexpr std::int64_t max_parameters = (std::int64_t{1} << 31U) - 1;

// "layer1.{0..2}" → layer1.0, layer1.1, layer1.2; any other name stands for itself.
std::vector<std::string> repeated(const std::string& name) {
  const std::size_t open = name.find('{');
  const std::size_t close = name.find('}');
  if (open == std::string::npos && close == std::string::npos) return {name};
  const auto refuse = [&name] {
    throw Error(fmt::format("'{}' repeats a name in a way other than 'name.{{0..2}}'", name));
  };
  if (open == std::string::npos || close == std::string::npos || close < open ||
      name.find('{', open + 1) != std::string::npos || name.find('}', close + 1) != std::string::npos) {
    refuse();
  }
  std::size_t first = 0;
  std::size_t last = 0;
  const char* const end = name.data() + close;
  const auto [dots, error] = std::from_chars(name.data() + open + 1, end, first);
  if (error != std::errc{} || end - dots < 3 || dots[0] != '.' || dots[1] != '.') refuse();
  const auto [rest, error2] = std::from_chars(dots + 2, end, last);
  if (error2 != std::errc{} || rest != end || last < first || last - first >= max_layers) refuse();
  std::vector<std::string> names;
  for (std::size_t number = first; number <= last; ++number) {
    names.push_back(name.substr(0, open) + std::to_string(number) + name.substr(close + 1));
  }
  return names;
}

bool well_formed(const std::string& name) {
  return !name.empty() && name.size() <= max_name && name.front() != '.' && name.back() != '.' &&
         name.find("..") == std::string::npos;
}

// One list of layers: the file's own, or the inside of a block in use.
struct Scope {
  const std::vector<Entry>& entries;
  std::string prefix;      // "layer1.0."; empty at the top
  std::string_view block;  // the block in use; empty at the top
  const Settings& arguments;
  std::map<std::string, ValueId, std::less<>> values;  // what `from` may name
  ValueId previous = 0;
  std::set<std::string, std::less<>> used;  // arguments that were read
};

class Expander {
 public:
  Expander(const Document& document, const std::string& source, std::int64_t classes, Network& network)
      : document_(document), source_(source), classes_(classes), network_(network), read_{false} {}

  void run();

 private:
  ValueId expand(Scope& scope);
  ValueId expand_block(const Entry& entry, const std::string& name, const Settings& arguments, ValueId input);
  ValueId append(const Entry& entry, const std::string& name, const Settings& settings,
                 const std::vector<ValueId>& inputs);
  void check_everything_is_used() const;
  void check_output() const;

  const Document& document_;
  const std::string& source_;
  const std::int64_t classes_;
  Network& network_;
  std::set<std::string, std::less<>> names_;
  std::set<std::string, std::less<>> used_blocks_;
  std::vector<std::string_view> open_blocks_;
  std::vector<bool> read_;           // by value
  std::vector<std::int64_t> lines_;  // by layer
  std::int64_t parameters_ = 0;
};

const Value& argument(std::string_view key, Scope& scope) {
  const auto found = scope.arguments.find(key);
  if (found == scope.arguments.end()) {
    if (scope.block.empty()) throw Error(fmt::format("'${}' means nothing outside a block", shown(key)));
    throw Error(
        fmt::format("block '{}' needs '{}', which is not given where it is used", scope.block, shown(key)));
  }
  scope.used.emplace(key);
  return found->second;
}

// The key of "$key"; empty for anything else.
std::string_view reference(const Scalar& scalar) {
  const auto* text = std::get_if<std::string>(&scalar);
  return text != nullptr && text->starts_with('$') ? std::string_view(*text).substr(1) : std::string_view();
}

Value resolved(const Value& value, Scope& scope) {
  if (const auto* scalar = std::get_if<Scalar>(&value)) {
    const std::string_view key = reference(*scalar);
    return key.empty() ? value : argument(key, scope);
  }
  std::vector<Scalar> list = std::get<std::vector<Scalar>>(value);
  for (Scalar& item : list) {
    const std::string key(reference(item));
    if (key.empty()) continue;
    const Value& given = argument(key, scope);
    if (!std::holds_alternative<Scalar>(given)) {
      throw Error(fmt::format("'${}' is a list and cannot stand in another list", shown(key)));
    }
    item = std::get<Scalar>(given);
  }
  return list;
}

Settings resolved(const Settings& settings, Scope& scope) {
  Settings result;
  for (const auto& [key, value] : settings) result.emplace(key, resolved(value, scope));
  return result;
}

std::vector<ValueId> inputs_of(const Entry& entry, const Scope& scope) {
  if (!entry.from) return {scope.previous};
  std::vector<ValueId> inputs;
  for (const std::string& name : *entry.from) {
    const auto found = scope.values.find(name);
    if (found == scope.values.end()) {
      for (const Entry& sibling : scope.entries) {
        if (sibling.name == name)
          throw Error(fmt::format("reads '{}', which does not stand before it", shown(name)));
      }
      std::vector<std::string> known;
      for (const auto& [sibling, value] : scope.values) known.push_back(sibling);
      throw Error("reads an " + unknown("layer", name, known));
    }
    if (std::find(inputs.begin(), inputs.end(), found->second) != inputs.end()) {
      throw Error(fmt::format("reads '{}' twice", shown(name)));
    }
    inputs.push_back(found->second);
  }
  if (inputs.empty()) throw Error("'from' is empty");
  return inputs;
}

ValueId Expander::expand(Scope& scope) {
  for (const Entry& entry : scope.entries) {
    std::string name = scope.prefix + entry.name;
    try {
      for (const std::string& own : repeated(entry.name)) {
        name = scope.prefix + own;
        if (!well_formed(name))
          throw Error(fmt::format("names have up to {} characters, and no empty part between dots", max_name));
        const std::vector<ValueId> inputs = inputs_of(entry, scope);
        const Settings settings = resolved(entry.settings, scope);
        if (entry.block.empty()) {
          scope.previous = append(entry, name, settings, inputs);
        } else {
          if (inputs.size() != 1) throw Error(fmt::format("a block takes 1 input, but gets {}", inputs.size()));
          scope.previous = expand_block(entry, name, settings, inputs.front());
        }
        if (!scope.values.emplace(own, scope.previous).second) throw Error("this name is given twice");
      }
    } catch (const LocatedError&) {
      throw;
    } catch (const Error& error) {
      fail_at(source_, entry.line, name, error.what());
    }
  }
  return scope.previous;
}

ValueId Expander::expand_block(const Entry& entry, const std::string& name, const Settings& settings,
                               ValueId input) {
  const auto found = document_.blocks.find(entry.block);
  if (found == document_.blocks.end()) {
    std::vector<std::string> known;
    for (const auto& [block, content] : document_.blocks) known.push_back(block);
    throw Error(unknown("block", entry.block, known));
  }
  const auto& [block, content] = *found;
  if (std::find(open_blocks_.begin(), open_blocks_.end(), block) != open_blocks_.end()) {
    throw Error(fmt::format("block '{}' uses itself", shown(block)));
  }
  if (open_blocks_.size() >= max_depth)
    throw Error(fmt::format("blocks are nested more than {} deep", max_depth));
  if (settings.contains("classes")) throw Error("'classes' cannot be given to a block: it is always there");
  used_blocks_.insert(block);
  Settings arguments = settings;
  arguments.emplace("classes", Scalar(classes_));

  Scope scope{content.entries, name + ".", block, arguments, {{"input", input}}, input, {}};
  open_blocks_.push_back(block);
  const ValueId output = expand(scope);
  open_blocks_.pop_back();
  for (const auto& [key, value] : settings) {
    if (scope.used.contains(key)) continue;
    const std::vector<std::string> known(scope.used.begin(), scope.used.end());
    throw Error(fmt::format("block '{}' has an {}", shown(block), unknown("argument", key, known)));
  }
  return output;
}

ValueId Expander::append(const Entry& entry, const std::string& name, const Settings& settings,
                         const std::vector<ValueId>& inputs) {
  if (network_.layers.size() >= max_layers)
    throw Error(fmt::format("a network has at most {} layers", max_layers));
  if (!names_.insert(name).second) throw Error("this name is given twice");
  Layer layer{name, read_op(entry.op, settings), inputs, {}, {}};
  std::vector<Shape> shapes;
  for (const ValueId input : inputs) {
    shapes.push_back(network_.shape(input));
    read_[input] = true;
  }
  layer.input = shapes.front();
  layer.output = infer_output(layer.op, shapes);
  for (const ParameterSpec& spec : parameters_of(layer.op, layer.input)) parameters_ += spec.shape.elements();
  if (parameters_ > max_parameters)
    throw Error(fmt::format("a network has at most {} parameters", max_parameters));
  network_.layers.push_back(std::move(layer));
  lines_.push_back(entry.line);
  read_.push_back(false);
  return network_.layers.size();
}

void Expander::check_everything_is_used() const {
  for (const auto& [block, content] : document_.blocks) {
    if (!used_blocks_.contains(block)) {
      fail_at(source_, content.line, {},
              fmt::format("block '{}' is never used: use it or remove it", shown(block)));
    }
  }
  for (std::size_t i = 0; i + 1 < network_.layers.size(); ++i) {
    if (!read_[i + 1]) {
      fail_at(source_, lines_[i], network_.layers[i].name,
              "no layer reads its output: name it in the 'from' of a later layer or remove it");
    }
  }
}

void Expander::check_output() const {
  const Layer& last = network_.layers.back();
  if (last.output != Shape{classes_}) {
    fail_at(
        source_, lines_.back(), last.name,
        fmt::format("it is the last and its output is {}, but the network must end in {} features, one a class "
                    "(\"$classes\")",
                    to_string(last.output), classes_));
  }
}

void Expander::run() {
  const Settings arguments{{"classes", Scalar(classes_)}};
  Scope scope{document_.layers, {}, {}, arguments, {{"input", 0}}, 0, {}};
  expand(scope);
  check_everything_is_used();
  check_output();
}

}  // namespace

Network parse_network(std::string_view text, const std::string& source, std::int64_t classes) {
  if (classes < 0) throw Error(fmt::format("{}: a network cannot have {} classes", source, classes));
  Document document = read_document(text, source);
  Network network{document.name,    document.summary, document.input, document.normalisation, {},
                  std::string(text)};
  Expander(document, source, classes == 0 ? document.classes : classes, network).run();
  return network;
}

}  // namespace descent
