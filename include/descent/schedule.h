// Schedules: the learning rate, and for some the momentum, as a function of time alone. Each is one struct:
// its options and its rule. To add one: a struct here and its name in Schedule; nothing else. One that begins
// with a rise of its own, so that a warmup would be another, names the option that says how long (`rises_for`).
// Time is counted in ticks from 0: training steps or epochs. The rules are those of torch.optim.lr_scheduler.
#pragma once

#include "descent/optimizer.h"
#include "descent/options.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace descent {

// What a schedule may know.
struct ScheduleMoment {
  double rate = 0;         // the optimizer's own learning rate
  std::int64_t tick = 0;   // from 0: the first step uses the value at 0
  std::int64_t total = 1;  // ticks that there will be
};

// What it asks for.
struct ScheduleValue {
  double rate = 0;
  std::optional<double> momentum{};  // or β1; nothing: leave it alone
};

// The learning rate stays.
struct ConstantRate {
  static constexpr std::string_view name = "constant";
  static constexpr std::string_view summary = "the learning rate stays";
  static constexpr std::array<OptionOf<ConstantRate>, 0> options{};
  [[nodiscard]] ScheduleValue at(const ScheduleMoment& now) const;
};

// final + (rate − final)·(1 + cos(π·t/period))/2; past the period it rises again.
struct CosineRate {
  static constexpr std::string_view name = "cosine";
  static constexpr std::string_view summary = "half a cosine down to the final rate; past its period up again";
  double final_lr = 0;
  double schedule_period = 0;
  static constexpr std::array options{
      OptionOf<CosineRate>{"final_lr", &CosineRate::final_lr, 0, detail::no_limit, "learning rate at the end"},
      OptionOf<CosineRate>{"schedule_period", &CosineRate::schedule_period, 0, detail::no_limit,
                           "ticks until the final rate", true, "the whole run"}};
  [[nodiscard]] ScheduleValue at(const ScheduleMoment& now) const;
};

// Up to max_lr for pct_start of the time, then down to almost nothing, by half cosines; the momentum goes the
// other way (Smith & Topin, "Super-convergence", 2017).
struct OneCycle {
  static constexpr std::string_view name = "onecycle";
  static constexpr std::string_view summary =
      "up to a high rate and down to almost none; momentum goes against it";
  static constexpr std::string_view rises_for = "pct_start";
  double max_lr = 0;
  double pct_start = 0.3;
  double div = 25;
  double final_div = 1e4;
  double base_momentum = 0.85;
  double max_momentum = 0.95;
  static constexpr std::array options{
      OptionOf<OneCycle>{"max_lr", &OneCycle::max_lr, 0, detail::no_limit, "highest learning rate", false,
                         "the optimizer's learning rate"},
      OptionOf<OneCycle>{"pct_start", &OneCycle::pct_start, 0, 1, "share of the run in which the rate rises"},
      OptionOf<OneCycle>{"div", &OneCycle::div, 1, detail::no_limit, "highest over first learning rate"},
      OptionOf<OneCycle>{"final_div", &OneCycle::final_div, 1, detail::no_limit,
                         "first over last learning rate"},
      OptionOf<OneCycle>{"base_momentum", &OneCycle::base_momentum, 0, 1,
                         "momentum or beta1 where the rate is highest"},
      OptionOf<OneCycle>{"max_momentum", &OneCycle::max_momentum, 0, 1,
                         "momentum or beta1 at the beginning and the end"}};
  // Throws Error if the tick is past `total`.
  [[nodiscard]] ScheduleValue at(const ScheduleMoment& now) const;
};

// In a straight line to the final rate, which then stays.
struct LinearRate {
  static constexpr std::string_view name = "linear";
  static constexpr std::string_view summary = "in a straight line to the final rate, which then stays";
  double final_lr = 0;
  double schedule_period = 0;
  static constexpr std::array options{
      OptionOf<LinearRate>{"final_lr", &LinearRate::final_lr, 0, detail::no_limit, "learning rate at the end"},
      OptionOf<LinearRate>{"schedule_period", &LinearRate::schedule_period, 0, detail::no_limit,
                           "ticks until the final rate", true, "the whole run"}};
  [[nodiscard]] ScheduleValue at(const ScheduleMoment& now) const;
};

// rate·factor^⌊t/size⌋
struct StepRate {
  static constexpr std::string_view name = "step";
  static constexpr std::string_view summary = "times a factor after every so many ticks";
  double step_size = 0;
  double step_factor = 0.1;
  static constexpr std::array options{
      OptionOf<StepRate>{"step_size", &StepRate::step_size, 0, detail::no_limit,
                         "ticks from one fall of the rate to the next", true, "a third of the run"},
      OptionOf<StepRate>{"step_factor", &StepRate::step_factor, 0, detail::no_limit,
                         "what the rate is multiplied with"}};
  [[nodiscard]] ScheduleValue at(const ScheduleMoment& now) const;
};

// final + (rate − final)·(1 − t/period)^power; past the period the final rate stays.
struct PolynomialRate {
  static constexpr std::string_view name = "polynomial";
  static constexpr std::string_view summary =
      "a power of the time left, down to the final rate, which then stays";
  double power = 2;
  double final_lr = 0;
  double schedule_period = 0;
  static constexpr std::array options{
      OptionOf<PolynomialRate>{"power", &PolynomialRate::power, 0, detail::no_limit, "exponent; 1: a line"},
      OptionOf<PolynomialRate>{"final_lr", &PolynomialRate::final_lr, 0, detail::no_limit,
                               "learning rate at the end"},
      OptionOf<PolynomialRate>{"schedule_period", &PolynomialRate::schedule_period, 0, detail::no_limit,
                               "ticks until the final rate", true, "the whole run"}};
  [[nodiscard]] ScheduleValue at(const ScheduleMoment& now) const;
};

// A schedule with its settings. Adding a name here adds it to --help, `descent list`, config files and tests.
using Schedule = std::variant<ConstantRate, CosineRate, OneCycle, LinearRate, StepRate, PolynomialRate>;

// The schedule of that name with its defaults. Throws Error with the nearest name.
[[nodiscard]] Schedule make_schedule(std::string_view name);
[[nodiscard]] std::vector<std::string_view> schedule_names();

[[nodiscard]] std::string_view name(const Schedule& schedule);
[[nodiscard]] std::string_view summary(const Schedule& schedule);
// The option that says how long the schedule rises by itself, and so takes no warmup; empty: it takes one.
[[nodiscard]] std::string_view rises_for(const Schedule& schedule);
[[nodiscard]] std::vector<OptionValue> options(const Schedule& schedule);
// Throws Error if the schedule has no such option, or the value is outside its limits.
void set_option(Schedule& schedule, std::string_view option, double value);

enum class ScheduleBy : std::uint8_t { step, epoch };

struct ScheduleSettings {
  Schedule schedule = ConstantRate{};
  ScheduleBy by = ScheduleBy::step;
  // Ticks in which the rate first rises in a straight line to the schedule's first value: at tick t < warmup it
  // is (t + 1)/(warmup + 1) of that. The schedule proper then has the ticks that are left.
  std::int64_t warmup = 0;
};

struct TrainSettings;
// Ticks of a fit: `steps` of the settings shortens it.
[[nodiscard]] std::int64_t schedule_ticks(const ScheduleSettings& schedule, const TrainSettings& settings,
                                          std::int64_t steps_per_epoch);

// What the settings ask for at a moment: the warmup, then the schedule.
[[nodiscard]] ScheduleValue value_at(const ScheduleSettings& schedule, const ScheduleMoment& now);

// That the warmup leaves time for the schedule, and that the schedule can have one. Throws Error.
void check_schedule(const ScheduleSettings& schedule, std::int64_t total);

}  // namespace descent
