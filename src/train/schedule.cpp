#include "descent/schedule.h"

#include "base/option_table.h"
#include "descent/error.h"
#include "descent/train.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

namespace descent {

namespace {

// From `from` to `to` by half a cosine, for `part` from 0 to 1.
double cosine_between(double from, double to, double part) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * part)) / 2;
}

// Share of a period that has passed; 0: the period is the whole run.
double part_of(double period, const ScheduleMoment& now) {
  return static_cast<double>(now.tick) / (period > 0 ? period : static_cast<double>(now.total));
}

}  // namespace

ScheduleValue ConstantRate::at(const ScheduleMoment& now) const {
  return {now.rate};
}

ScheduleValue CosineRate::at(const ScheduleMoment& now) const {
  return {cosine_between(now.rate, final_lr, part_of(schedule_period, now))};
}

ScheduleValue OneCycle::at(const ScheduleMoment& now) const {
  // PyTorch's scheduler is stepped once more after the last step, so it may be asked for tick `total`.
  if (now.tick > now.total) {
    throw Error("schedule 'onecycle' ends at tick " + std::to_string(now.total) + " and has no tick " +
                std::to_string(now.tick));
  }
  const double highest = max_lr > 0 ? max_lr : now.rate;
  const double first = highest / div;
  const auto tick = static_cast<double>(now.tick);
  const double top = pct_start * static_cast<double>(now.total) - 1;  // ends the first phase
  const double end = static_cast<double>(now.total) - 1;              // ends the second
  if (tick <= top) {
    const double part = top > 0 ? tick / top : 1;  // a phase of one tick is at its end
    return {cosine_between(first, highest, part), cosine_between(max_momentum, base_momentum, part)};
  }
  const double part = (tick - top) / (end - top);
  return {cosine_between(highest, first / final_div, part), cosine_between(base_momentum, max_momentum, part)};
}

ScheduleValue LinearRate::at(const ScheduleMoment& now) const {
  const double part = std::min(part_of(schedule_period, now), 1.0);
  return {now.rate + (final_lr - now.rate) * part};
}

ScheduleValue StepRate::at(const ScheduleMoment& now) const {
  constexpr double longest = 9e15;  // all whole numbers up to there
  const std::int64_t size =
      step_size > 0 ? static_cast<std::int64_t>(std::min(step_size, longest)) : (now.total + 2) / 3;
  const std::int64_t falls = now.tick / size;
  return {now.rate * std::pow(step_factor, static_cast<double>(falls))};
}

ScheduleValue PolynomialRate::at(const ScheduleMoment& now) const {
  const double left = 1 - std::min(part_of(schedule_period, now), 1.0);
  return {final_lr + (now.rate - final_lr) * std::pow(left, power)};
}

Schedule make_schedule(std::string_view wanted) {
  return make_kind<Schedule>("schedule", wanted);
}

std::vector<std::string_view> schedule_names() {
  return kind_names<Schedule>();
}

std::string_view name(const Schedule& schedule) {
  return std::visit([](const auto& rule) { return rule.name; }, schedule);
}

std::string_view summary(const Schedule& schedule) {
  return std::visit([](const auto& rule) { return rule.summary; }, schedule);
}

std::vector<OptionValue> options(const Schedule& schedule) {
  std::vector<OptionValue> all;
  std::visit(
      [&]<class Rule>(const Rule& rule) {
        for (const OptionOf<Rule>& option : Rule::options) all.push_back(value_of(rule, option));
      },
      schedule);
  return all;
}

std::string_view rises_for(const Schedule& schedule) {
  return std::visit(
      []<class Rule>(const Rule& /*rule*/) -> std::string_view {
        if constexpr (requires { Rule::rises_for; }) {
          return Rule::rises_for;
        } else {
          return {};
        }
      },
      schedule);
}

void set_option(Schedule& schedule, std::string_view option, double value) {
  std::visit(
      [&]<class Rule>(Rule& rule) {
        set_named(rule, "schedule", option, value, [](const auto& visit) {
          for (const OptionOf<Rule>& one : Rule::options) visit(one);
        });
      },
      schedule);
}

std::int64_t schedule_ticks(const ScheduleSettings& schedule, const TrainSettings& settings,
                            std::int64_t steps_per_epoch) {
  std::int64_t steps = settings.epochs * steps_per_epoch;
  if (settings.steps > 0) steps = std::min(steps, settings.steps);
  return schedule.by == ScheduleBy::step ? steps : (steps + steps_per_epoch - 1) / steps_per_epoch;
}

ScheduleValue value_at(const ScheduleSettings& schedule, const ScheduleMoment& now) {
  ScheduleMoment proper = now;  // the schedule's own time begins after the warmup
  proper.tick = std::max<std::int64_t>(now.tick - schedule.warmup, 0);
  proper.total = now.total - schedule.warmup;
  ScheduleValue value = std::visit([&](const auto& rule) { return rule.at(proper); }, schedule.schedule);
  if (now.tick < schedule.warmup) {
    value.rate *= static_cast<double>(now.tick + 1) / static_cast<double>(schedule.warmup + 1);
  }
  return value;
}

void check_schedule(const ScheduleSettings& schedule, std::int64_t total) {
  if (std::string option(rises_for(schedule.schedule)); schedule.warmup > 0 && !option.empty()) {
    std::ranges::replace(option, '_', '-');
    throw Error("schedule '" + std::string(name(schedule.schedule)) +
                "' takes no warmup: its rate rises by itself, for as long as " + option + " says");
  }
  if (schedule.warmup >= total && schedule.warmup > 0) {
    const std::string unit = schedule.by == ScheduleBy::step ? "steps" : "epochs";
    throw Error("a warmup of " + std::to_string(schedule.warmup) + " " + unit +
                " leaves nothing of this run, which has " + std::to_string(total) + ": give a smaller one");
  }
}

}  // namespace descent
