// JSON as it is written into a page: appended to a string, numbers with few digits, safe inside <script>.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace descent::report {

void append_json(std::string& out, std::string_view text);     // quoted; what is not UTF-8 is replaced
void append_json(std::string& out, double value, int digits);  // null if not finite

// Writes one object: members in the order of the calls, the closing brace at the end of its life.
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_ += '{'; }
  JsonObject(const JsonObject&) = delete;
  JsonObject& operator=(const JsonObject&) = delete;
  ~JsonObject() { out_ += '}'; }

  std::string& key(std::string_view name);                   // the caller appends the value
  void text(std::string_view name, std::string_view value);  // left out if empty
  void flag(std::string_view name, bool value);              // left out if false
  void number(std::string_view name, double value);
  void numbers(std::string_view name, std::span<const double> values, int digits);
  void texts(std::string_view name, std::span<const std::string> values);

 private:
  std::string& out_;
  bool first_ = true;
};

// An array whose values `write` appends one by one.
template <class Values, class Write>
void append_array(std::string& out, const Values& values, const Write& write) {
  out += '[';
  bool first = true;
  for (const auto& value : values) {
    if (!first) out += ',';
    first = false;
    write(value);
  }
  out += ']';
}

}  // namespace descent::report
