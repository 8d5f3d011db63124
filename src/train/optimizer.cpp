#include "descent/optimizer.h"

#include "base/names.h"
#include "descent/error.h"
#include "descent/parameters.h"

#include <algorithm>
#include <charconv>
#include <type_traits>
#include <utility>

namespace descent {

namespace {

// Calls visit(rule) with a default rule of every kind, in the variant's order.
template <class Visit, std::size_t... index>
void for_each_rule(const Visit& visit, std::index_sequence<index...> /*indices*/) {
  (visit(std::variant_alternative_t<index, Optimizer>{}), ...);
}
template <class Visit>
void for_each_rule(const Visit& visit) {
  for_each_rule(visit, std::make_index_sequence<std::variant_size_v<Optimizer>>{});
}

// What every rule has.
template <class Rule>
constexpr std::array common_options{
    OptionOf<Rule>{"learning_rate", &Rule::learning_rate, 0, detail::no_limit, "learning rate"},
    OptionOf<Rule>{"weight_decay", &Rule::weight_decay, 0, detail::no_limit, "weight decay; 0: none"}};

template <class Rule, class Visit>
void for_each_option(const Visit& visit) {
  for (const OptionOf<Rule>& option : common_options<Rule>) visit(option);
  for (const OptionOf<Rule>& option : Rule::options) visit(option);
}

std::string number(double value) {
  std::array<char, 32> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), written.ptr};
}

template <class Rule>
void set_option_of(Rule& rule, std::string_view name, double value) {
  std::vector<std::string_view> known;
  const OptionOf<Rule>* found = nullptr;
  for_each_option<Rule>([&](const OptionOf<Rule>& option) {
    known.push_back(option.name);
    if (option.name == name) found = &option;
  });
  if (found == nullptr)
    throw Error("optimizer '" + std::string(Rule::name) + "': " + unknown_name("option", name, known));
  if (!(value >= found->low && value < found->high)) {
    const std::string limits = found->high == detail::no_limit
                                   ? "at least " + number(found->low)
                                   : "at least " + number(found->low) + " and below " + number(found->high);
    throw Error("optimizer '" + std::string(Rule::name) + "': " + std::string(name) + " must be " + limits +
                " and not " + number(value));
  }
  rule.*(found->member) = value;
}

// The group of a parameter: the first whose pattern matches; the default if none does.
ParameterGroup group_of(const ParameterEntry& entry, std::span<const ParameterGroup> groups) {
  const auto found = std::ranges::find_if(
      groups, [&](const ParameterGroup& group) { return matches_glob(group.pattern, entry.name); });
  return found == groups.end() ? ParameterGroup{} : *found;
}

void check_group(const ParameterGroup& group, const ParameterLayout& layout) {
  for (const double factor : {group.rate_factor, group.weight_decay_factor}) {
    if (!(factor >= 0 && factor < detail::no_limit)) {
      throw Error("parameter group '" + group.pattern + "': a factor must be at least 0 and not " +
                  number(factor));
    }
  }
  const bool any = std::ranges::any_of(
      layout.trained, [&](const ParameterEntry& entry) { return matches_glob(group.pattern, entry.name); });
  if (!any) {
    throw Error("parameter group '" + group.pattern + "' matches no parameter of the network" +
                (layout.trained.empty() ? "" : ", whose first is '" + layout.trained.front().name + "'"));
  }
}

}  // namespace

Optimizer make_optimizer(std::string_view wanted) {
  std::optional<Optimizer> made;
  for_each_rule([&](const auto& rule) {
    if (rule.name == wanted) made = rule;
  });
  if (!made) throw Error(unknown_name("optimizer", wanted, optimizer_names()));
  return *made;
}

std::vector<std::string_view> optimizer_names() {
  std::vector<std::string_view> names;
  for_each_rule([&](const auto& rule) { names.push_back(rule.name); });
  return names;
}

std::string_view name(const Optimizer& optimizer) {
  return std::visit([](const auto& rule) { return rule.name; }, optimizer);
}

std::string_view summary(const Optimizer& optimizer) {
  return std::visit([](const auto& rule) { return rule.summary; }, optimizer);
}

std::size_t slots(const Optimizer& optimizer) {
  return std::visit([](const auto& rule) { return rule.slots; }, optimizer);
}

std::vector<OptimizerOption> options(const Optimizer& optimizer) {
  std::vector<OptimizerOption> all;
  std::visit(
      [&]<class Rule>(const Rule& rule) {
        for_each_option<Rule>([&](const OptionOf<Rule>& option) {
          all.push_back({option.name, rule.*(option.member), option.help});
        });
      },
      optimizer);
  return all;
}

void set_option(Optimizer& optimizer, std::string_view option, double value) {
  std::visit([&](auto& rule) { set_option_of(rule, option, value); }, optimizer);
}

namespace {

std::optional<OptimizerOption> momentum_option(const Optimizer& optimizer) {
  for (const OptimizerOption& option : options(optimizer)) {
    if (option.name == "momentum" || option.name == "beta1") return option;
  }
  return std::nullopt;
}

}  // namespace

std::optional<double> momentum(const Optimizer& optimizer) {
  const std::optional<OptimizerOption> option = momentum_option(optimizer);
  return option ? std::optional(option->value) : std::nullopt;
}

void set_momentum(Optimizer& optimizer, double value) {
  if (const auto option = momentum_option(optimizer)) set_option(optimizer, option->name, value);
}

std::vector<UpdateRange> update_ranges(const ParameterLayout& layout, std::span<const ParameterGroup> groups) {
  for (const ParameterGroup& group : groups) check_group(group, layout);
  std::vector<UpdateRange> ranges;
  for (const ParameterEntry& entry : layout.trained) {
    const ParameterGroup group = group_of(entry, groups);
    const bool joins = !ranges.empty() && ranges.back().rate_factor == group.rate_factor &&
                       ranges.back().weight_decay_factor == group.weight_decay_factor;
    // Gaps go to the range before them: their values and gradients are zero.
    if (!ranges.empty()) ranges.back().end = entry.offset;
    if (!joins) ranges.push_back({entry.offset, entry.offset, group.rate_factor, group.weight_decay_factor});
  }
  if (!ranges.empty()) ranges.back().end = layout.trained_elements;
  return ranges;
}

}  // namespace descent
