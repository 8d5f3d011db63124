#include "descent/optimizer.h"

#include "base/names.h"
#include "base/option_table.h"
#include "descent/error.h"
#include "descent/parameters.h"

#include <algorithm>

namespace descent {

namespace {

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
                  number_text(factor));
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
  return make_kind<Optimizer>("optimizer", wanted);
}

std::vector<std::string_view> optimizer_names() {
  return kind_names<Optimizer>();
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
        for_each_option<Rule>([&](const OptionOf<Rule>& option) { all.push_back(value_of(rule, option)); });
      },
      optimizer);
  return all;
}

void set_option(Optimizer& optimizer, std::string_view option, double value) {
  std::visit(
      [&]<class Rule>(Rule& rule) {
        set_named(rule, "optimizer", option, value, [](const auto& visit) { for_each_option<Rule>(visit); });
      },
      optimizer);
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
