// What a std::variant of structs with tables of options has in common: finding one by name, listing, setting.
#pragma once

#include "base/names.h"
#include "descent/error.h"
#include "descent/options.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace descent {

[[nodiscard]] inline std::string number_text(double value) {
  std::array<char, 32> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), written.ptr};
}

// Calls visit(rule) with a default rule of every kind, in the variant's order.
template <class Variant, class Visit>
void for_each_kind(const Visit& visit) {
  [&]<std::size_t... index>(std::index_sequence<index...> /*indices*/) {
    (visit(std::variant_alternative_t<index, Variant>{}), ...);
  }
  (std::make_index_sequence<std::variant_size_v<Variant>>{});
}

template <class Variant>
[[nodiscard]] std::vector<std::string_view> kind_names() {
  std::vector<std::string_view> names;
  for_each_kind<Variant>([&](const auto& rule) { names.push_back(rule.name); });
  return names;
}

// `kind` is what errors call it: "optimizer".
template <class Variant>
[[nodiscard]] Variant make_kind(std::string_view kind, std::string_view wanted) {
  std::optional<Variant> made;
  for_each_kind<Variant>([&](const auto& rule) {
    if (rule.name == wanted) made = rule;
  });
  if (!made) throw Error(unknown_name(kind, wanted, kind_names<Variant>()));
  return *made;
}

// Throws Error if the value is outside the option's limits. `owner`: "optimizer 'sgd'".
template <class Rule>
void set_member(Rule& rule, const OptionOf<Rule>& option, double value, const std::string& owner) {
  if (!(value >= option.low && value < option.high)) {
    const std::string limits = option.high == detail::no_limit ? "at least " + number_text(option.low)
                                                               : "at least " + number_text(option.low) +
                                                                     " and below " + number_text(option.high);
    throw Error(owner + ": " + std::string(option.name) + " must be " + limits + " and not " +
                number_text(value));
  }
  if (option.whole && value != std::floor(value)) {
    throw Error(owner + ": " + std::string(option.name) + " must be a whole number and not " +
                number_text(value));
  }
  rule.*(option.member) = value;
}

// Sets the option of that name; for_each(visit) goes through the rule's options.
template <class Rule, class ForEach>
void set_named(Rule& rule, std::string_view kind, std::string_view name, double value,
               const ForEach& for_each) {
  const std::string owner = std::string(kind) + " '" + std::string(Rule::name) + "'";
  std::vector<std::string_view> known;
  const OptionOf<Rule>* found = nullptr;
  for_each([&](const OptionOf<Rule>& option) {
    known.push_back(option.name);
    if (option.name == name) found = &option;
  });
  if (found == nullptr && known.empty()) {
    throw Error(owner + " has no options, hence no '" + std::string(name) + "'");
  }
  if (found == nullptr) throw Error(owner + ": " + unknown_name("option", name, known));
  set_member(rule, *found, value, owner);
}

template <class Rule>
[[nodiscard]] OptionValue value_of(const Rule& rule, const OptionOf<Rule>& option) {
  return {option.name, rule.*(option.member), option.help, option.whole, option.automatic};
}

}  // namespace descent
