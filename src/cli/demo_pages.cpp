#include "cli/demo_pages.h"

#include "cli/schedules_page.h"
#include "cli/text.h"
#include "demo/demos.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <variant>

namespace descent::cli {

namespace {

using demo::DecayCurve;
using report::Chart;
using report::Page;
using report::Series;
using report::Table;

std::string text_of(double value) {
  return fmt::format("{:.6g}", value);
}

std::vector<double> counted(std::size_t count, double first = 0) {
  std::vector<double> numbers;
  for (std::size_t i = 0; i < count; ++i) numbers.push_back(first + static_cast<double>(i));
  return numbers;
}

Series line(std::string label, std::vector<double> x, std::vector<double> y) {
  return {.label = std::move(label), .x = std::move(x), .y = std::move(y)};
}

Page averages_page(std::uint64_t seed) {
  constexpr std::array betas{0.5, 0.7, 0.9, 0.99};
  const demo::Points points = demo::noisy_parabola(seed);
  const std::vector<double> steps{1, 1, 1, 1, -1};
  Table numbers{.title = "Five values and their averages",
                .note = "A large beta follows late, and starts near 0 because nothing corrects for the start.",
                .header = {"value", "beta 0.5", "beta 0.7", "beta 0.9", "beta 0.99"},
                .rows = std::vector<std::vector<std::string>>(steps.size()),
                .numeric = {true, true, true, true, true}};
  for (std::size_t i = 0; i < steps.size(); ++i) numbers.rows[i].push_back(text_of(steps[i]));
  report::Section curves{.id = "curves",
                         .title = "A noisy parabola and its averages",
                         .text = "100 points of 1 − (x/3)² with noise of deviation 0.1."};
  for (const double beta : betas) {
    const std::vector<double> averages = demo::weighted_average(steps, beta);
    for (std::size_t i = 0; i < steps.size(); ++i) numbers.rows[i].push_back(text_of(averages[i]));
    Series dots = line("points", points.x, points.y);
    dots.style = Series::Style::points;
    curves.items.emplace_back(
        Chart{.title = fmt::format("beta = {}", beta),
              .x_label = "x",
              .y_label = "y",
              .series = {std::move(dots), line("average", points.x, demo::weighted_average(points.y, beta))}});
  }
  return {
      .title = "Exponentially weighted averages",
      .subtitle = "avg ← beta·avg + (1 − beta)·y, from 0: what momentum does to gradients",
      .sections = {{.id = "numbers", .title = "Numbers", .items = {std::move(numbers)}}, std::move(curves)}};
}

Page signs_page(std::uint64_t /*seed*/) {
  constexpr std::int64_t history = 50;
  Table table{
      .title = "What is subtracted at a rate of 1",
      .note = fmt::format("First: no gradient came before. Later: {} gradients of 1 came before.", history),
      .header = {"gradient g", "g/√g²", "RMSprop, first", "Adam, first", "RMSprop, later", "Adam, later"},
      .numeric = {true, true, true, true, true, true},
      .wide = true};
  Chart chart{.title = "The step after a history of gradients of 1",
              .note =
                  "Without memory the size of a gradient does not count at all; with memory it counts against "
                  "those before.",
              .x_label = "gradient (logarithm of its size, with its sign)",
              .y_label = "step",
              .wide = true};
  std::vector<double> place;
  std::array<std::vector<double>, 3> steps;
  for (const demo::SignRow& row : demo::sign_rows(history)) {
    table.rows.push_back({text_of(row.gradient), text_of(row.memoryless), text_of(row.first_rmsprop),
                          text_of(row.first_adam), text_of(row.later_rmsprop), text_of(row.later_adam)});
    place.push_back(std::copysign(3 + std::log10(std::abs(row.gradient)), row.gradient));
    steps[0].push_back(row.memoryless);
    steps[1].push_back(row.later_rmsprop);
    steps[2].push_back(row.later_adam);
  }
  const std::array<const char*, 3> labels{"g/√g²", "RMSprop", "Adam"};
  chart.x_label = "sign(g)·(3 + log₁₀|g|)";
  for (std::size_t i = 0; i < labels.size(); ++i) {
    chart.series.push_back(line(labels.at(i), place, steps.at(i)));
    chart.series.back().style = Series::Style::both;
  }
  return {.title = "A gradient over its own size is its sign",
          .subtitle = "why RMSprop and Adam need a memory",
          .sections = {
              {.id = "signs",
               .title = "Six gradients",
               .text = "Divided by the root of its own square, every gradient gives a step of ±1, whatever "
                       "its size: so does the first step of RMSprop and Adam. An average over past "
                       "squares lets an unusual gradient stand out.",
               .items = {std::move(table), std::move(chart)}}}};
}

report::Section valley_section() {
  constexpr std::int64_t steps = 60;
  Table table{.title = "Height of the valley after so many steps",
              .header = {"optimizer", "rate", "0", "5", "10", "20", "40", "60"},
              .numeric = {false, true, true, true, true, true, true, true},
              .wide = true};
  Chart paths{.title = "Paths", .x_label = "x", .y_label = "y", .wide = true};
  Chart heights{.title = "Height", .x_label = "step", .y_label = "x²/20 + y²", .log_y = true, .wide = true};
  for (const demo::Path& path : demo::valley_paths(steps)) {
    table.rows.push_back({path.optimizer, text_of(path.rate)});
    for (const std::size_t step : {0U, 5U, 10U, 20U, 40U, 60U}) {
      table.rows.back().push_back(fmt::format("{:.4f}", demo::valley(path.places[step])));
    }
    Series way = line(path.optimizer, {}, {});
    std::vector<double> height;
    for (const demo::Place& place : path.places) {
      way.x.push_back(place.x);
      way.y.push_back(place.y);
      height.push_back(demo::valley(place));
    }
    paths.series.push_back(std::move(way));
    heights.series.push_back(line(path.optimizer, counted(height.size()), height));
  }
  return {
      .id = "valley",
      .title = "A narrow valley: x²/20 + y²",
      .text =
          "From (−8, 2.5). Plain descent takes the steep side first and then crawls; momentum swings; rules "
          "that divide by the gradient's size go diagonally at once.",
      .items = {std::move(table), std::move(paths), std::move(heights)}};
}

report::Section line_section(std::uint64_t seed) {
  constexpr std::int64_t epochs = 10;
  const demo::Points points = demo::line_points(seed);
  Table table{.title = fmt::format("A line through {} points", points.x.size()),
              .note = fmt::format("True slope {}, intercept {}, noise of deviation 0.3; {} passes, one point a "
                                  "step. Annealed: the rate falls by half a cosine to 0.",
                                  demo::true_slope, demo::true_intercept, epochs),
              .header = {"optimizer", "rate", "slope", "intercept", "error", "slope, annealed",
                         "intercept, annealed", "error, annealed"},
              .numeric = {false, true, true, true, true, true, true, true},
              .wide = true};
  Chart constant{
      .title = "Error at a constant rate", .x_label = "step", .y_label = "mean squared error", .log_y = true};
  Chart annealed{
      .title = "Error at an annealed rate", .x_label = "step", .y_label = "mean squared error", .log_y = true};
  const std::vector<demo::LineFit> plain = demo::line_fits(points, epochs, false);
  const std::vector<demo::LineFit> falling = demo::line_fits(points, epochs, true);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    table.rows.push_back({plain[i].optimizer, text_of(plain[i].rate)});
    for (const demo::LineFit* fit : {&plain[i], &falling[i]}) {
      for (const double value : {fit->slope, fit->intercept, fit->errors.back()}) {
        table.rows.back().push_back(fmt::format("{:.4f}", value));
      }
    }
    const std::vector<double> steps = counted(plain[i].errors.size());
    constant.series.push_back(line(plain[i].optimizer, steps, plain[i].errors));
    annealed.series.push_back(line(falling[i].optimizer, steps, falling[i].errors));
  }
  return {
      .id = "line",
      .title = "Linear regression",
      .text =
          "Single points pull to and fro: at a constant rate no rule comes to rest, at a falling one all do.",
      .items = {std::move(table), std::move(constant), std::move(annealed)}};
}

Page optimizers_page(std::uint64_t seed) {
  return {.title = "The optimizers on small problems",
          .subtitle = "every rule of 'descent list optimizers', in double precision",
          .sections = {valley_section(), line_section(seed)}};
}

std::string_view decay_name(Decay decay) {
  return decay == Decay::l2 ? "L2" : "decoupled";
}

Page decay_page(std::uint64_t seed) {
  constexpr std::int64_t steps = 400;
  Table four{.title = "Three weights after four given gradients, weight decay 0.1",
             .note =
                 "For plain descent both are the same formula; under Adam the L2 term is divided by the "
                 "gradient's size like everything else.",
             .header = {"optimizer", "decay", "w₁", "w₂", "w₃"},
             .numeric = {false, false, true, true, true},
             .wide = true};
  for (const demo::DecayRow& row : demo::decay_rows()) {
    four.rows.push_back({row.optimizer, std::string(decay_name(row.decay))});
    for (const double weight : row.weights) four.rows.back().push_back(fmt::format("{:.9g}", weight));
  }
  Table ends{
      .title = fmt::format("Two weights after {} steps of noise", steps),
      .note =
          "Both begin at 1; rate 0.01, weight decay 0.3. The gradients of one are a hundred times those of "
          "the other.",
      .header = {"optimizer", "decay", "of large gradients", "of small gradients"},
      .numeric = {false, false, true, true},
      .wide = true};
  std::vector<report::Item> items;
  std::array<Chart, 2> charts{Chart{.title = "sgd", .x_label = "step", .y_label = "size of the weight"},
                              Chart{.title = "adam", .x_label = "step", .y_label = "size of the weight"}};
  for (const DecayCurve& curve : demo::decay_curves(steps, seed)) {
    const std::string kind(decay_name(curve.decay));
    ends.rows.push_back({curve.optimizer, kind, fmt::format("{:.4f}", curve.large.back()),
                         fmt::format("{:.4f}", curve.small.back())});
    Chart& chart = charts.at(curve.optimizer == "sgd" ? 0 : 1);
    chart.series.push_back(line(kind + ", large gradients", counted(curve.large.size()), curve.large));
    chart.series.push_back(line(kind + ", small gradients", counted(curve.small.size()), curve.small));
  }
  return {
      .title = "Weight decay and L2 regularisation",
      .subtitle = "decoupled: w ← w − rate·decay·w; L2: gradient ← gradient + decay·w",
      .sections = {{.id = "numbers",
                    .title = "The same for plain descent, not for Adam",
                    .text = "L2 adds decay·Σw²/2 to the loss; its gradient is decay·w. Batch normalisation can "
                            "undo either by its scale.",
                    .items = {std::move(four), std::move(ends)}},
                   {.id = "curves",
                    .title = "Who shrinks",
                    .text = "Decoupled decay shrinks all weights alike. L2 under Adam shrinks those most whose "
                            "gradients are small.",
                    .items = {std::move(charts[0]), std::move(charts[1])}}}};
}

}  // namespace

const std::vector<Demonstration>& demonstrations() {
  static const std::vector<Demonstration> all{
      {"ewa", "exponentially weighted averages of a noisy parabola", averages_page},
      {"signs", "a gradient over its own size, without and with memory", signs_page},
      {"optimizers", "the paths of all optimizers on small problems", optimizers_page},
      {"schedules", "learning rate and momentum of all schedules", schedules_page},
      {"decay", "weight decay beside L2 regularisation", decay_page}};
  return all;
}

std::string terminal_text(const Page& page) {
  std::string text = page.title + ": " + page.subtitle + "\n";
  for (const report::Section& section : page.sections) {
    for (const report::Item& item : section.items) {
      const auto* table = std::get_if<Table>(&item);
      if (table == nullptr) continue;
      std::vector<std::vector<std::string>> rows{table->header};
      rows.insert(rows.end(), table->rows.begin(), table->rows.end());
      text += "\n" + table->title + "\n" + table_text(rows, table->numeric);
      if (!table->note.empty()) text += table->note + "\n";
    }
  }
  return text;
}

}  // namespace descent::cli
