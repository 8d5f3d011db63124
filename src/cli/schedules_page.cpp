#include "cli/schedules_page.h"

#include "descent/schedule.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace descent::cli {

namespace {

using report::Chart;
using report::Series;
using report::Table;

constexpr double rate = 0.06;
constexpr std::int64_t total = 295;  // five epochs of 59 batches

struct Curve {
  Series rates;
  Series momenta;
};

Curve curve(const ScheduleSettings& settings, double base, std::int64_t ticks, std::int64_t length) {
  Curve result;
  result.rates.label = std::string(name(settings.schedule));
  result.momenta.label = result.rates.label;
  for (std::int64_t tick = 0; tick < ticks; ++tick) {
    const ScheduleValue value = value_at(settings, {base, tick, length});
    result.rates.x.push_back(static_cast<double>(tick));
    result.rates.y.push_back(value.rate);
    if (!value.momentum) continue;
    result.momenta.x.push_back(static_cast<double>(tick));
    result.momenta.y.push_back(*value.momentum);
  }
  return result;
}

std::string number(double value) {
  return fmt::format("{:.6g}", value);
}

Table numbers_of(const std::vector<std::int64_t>& ticks) {
  Table table{.title = fmt::format("Learning rate at a tick, rate {}, {} ticks", rate, total),
              .note = "In brackets the momentum, where the schedule gives one.",
              .header = {"tick"},
              .numeric = {true},
              .wide = true};
  for (const std::string_view schedule : schedule_names()) {
    table.header.emplace_back(schedule);
    table.numeric.push_back(true);
  }
  for (const std::int64_t tick : ticks) {
    table.rows.push_back({std::to_string(tick)});
    for (const std::string_view schedule : schedule_names()) {
      const ScheduleValue value = value_at({make_schedule(schedule)}, {rate, tick, total});
      std::string cell = number(value.rate);
      if (value.momentum) cell += fmt::format(" ({:.4f})", *value.momentum);
      table.rows.back().push_back(std::move(cell));
    }
  }
  return table;
}

}  // namespace

report::Page schedules_page(std::uint64_t /*seed*/) {
  Chart rates{.title = "Learning rate", .x_label = "tick", .y_label = "learning rate", .wide = true};
  Chart momenta{.title = "Momentum or beta1",
                .note = "The other schedules leave it alone.",
                .x_label = "tick",
                .y_label = "momentum",
                .wide = true};
  for (const std::string_view schedule : schedule_names()) {
    Curve one = curve({make_schedule(schedule)}, rate, total, total);
    rates.series.push_back(std::move(one.rates));
    if (!one.momenta.x.empty()) momenta.series.push_back(std::move(one.momenta));
  }
  Chart again{.title = "Cosine past its period",
              .note = "110 ticks with a period of 100, rate 0.006: it rises again.",
              .x_label = "tick",
              .y_label = "learning rate",
              .series = {curve({CosineRate{0, 100}}, 6e-3, 110, 110).rates}};
  Chart warm{.title = "Cosine after a warmup",
             .note = "--schedule cosine --warmup 30",
             .x_label = "tick",
             .y_label = "learning rate",
             .series = {curve({CosineRate{}, ScheduleBy::step, 30}, rate, total, total).rates}};
  return {.title = "Schedules",
          .subtitle =
              "learning rate and momentum as functions of time, at the defaults of 'descent list schedules'",
          .sections = {
              {.id = "numbers", .title = "Numbers", .items = {numbers_of({0, 1, 44, 87, 88, 147, 200, 294})}},
              {.id = "curves",
               .title = "Curves",
               .items = {std::move(rates), std::move(momenta), std::move(again), std::move(warm)}}}};
}

}  // namespace descent::cli
