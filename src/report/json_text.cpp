#include "report/json_text.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

namespace descent::report {

namespace {

// Inside <script>, "</script" and "<!--" would end or change the block; U+2028 and U+2029 end a line for
// older browsers.
void append_safely(std::string& out, std::string_view json) {
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '<') {
      out += "\\u003c";
    } else if (json.substr(i, 3) == "\xE2\x80\xA8") {
      out += "\\u2028";
      i += 2;
    } else if (json.substr(i, 3) == "\xE2\x80\xA9") {
      out += "\\u2029";
      i += 2;
    } else {
      out += json[i];
    }
  }
}

}  // namespace

void append_json(std::string& out, std::string_view text) {
  append_safely(out, nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void append_json(std::string& out, double value, int digits) {
  if (std::isfinite(value)) {
    fmt::format_to(std::back_inserter(out), "{:.{}g}", value, digits);
  } else {
    out += "null";
  }
}

std::string& JsonObject::key(std::string_view name) {
  if (!first_) out_ += ',';
  first_ = false;
  append_json(out_, name);
  return out_ += ':';
}

void JsonObject::text(std::string_view name, std::string_view value) {
  if (!value.empty()) append_json(key(name), value);
}

void JsonObject::flag(std::string_view name, bool value) {
  if (value) key(name) += "true";
}

void JsonObject::number(std::string_view name, double value) {
  constexpr int enough = 9;
  append_json(key(name), value, enough);
}

void JsonObject::numbers(std::string_view name, std::span<const double> values, int digits) {
  std::string& out = key(name);
  append_array(out, values, [&](double value) { append_json(out, value, digits); });
}

void JsonObject::texts(std::string_view name, std::span<const std::string> values) {
  std::string& out = key(name);
  append_array(out, values, [&](const std::string& value) { append_json(out, value); });
}

}  // namespace descent::report
