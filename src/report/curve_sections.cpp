// Loss, accuracy, learning rate, momentum; the learning-rate finder.
#include "report/sections.h"
#include "report/thin.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace descent::report {

namespace {

constexpr const char* batches = "batches trained";
constexpr const char* ends = "Dashed lines: ends of epochs.";

std::vector<double> counted(std::vector<double> steps) {  // batches trained when a step is done
  for (double& step : steps) step += 1;
  return steps;
}

// Per batch, with what validation said at the ends of epochs.
Chart batch_chart(const RunFiles& run, const std::string& title, const std::string& what,
                  const std::vector<double>& values, double EpochRow::*valid) {
  constexpr std::size_t noisy = 300;
  Chart chart{.title = title + " per batch", .x_label = batches, .y_label = what, .marks = epoch_marks(run)};
  const std::vector<double> x = counted(run.steps.step);
  Series train = curve_series("train", x, values);
  const bool thinned = train.x.size() < x.size();
  if (values.size() > noisy) {
    train.faint = true;
    train.color = 0;
    chart.series.push_back(std::move(train));
    Series smooth = curve_series("train, smoothed", x, smoothed(values, 0.95));
    smooth.color = 0;
    chart.series.push_back(std::move(smooth));
  } else {
    chart.series.push_back(std::move(train));
  }
  const Curve at_ends = at_epoch_ends(run, valid);
  if (has_values(at_ends.y)) {
    chart.series.push_back(
        {.label = "validation", .x = at_ends.x, .y = at_ends.y, .style = Series::Style::both, .color = 1});
  }
  chart.note = std::string(chart.marks.empty() ? "" : ends) +
               (thinned ? " Thinned: of every few batches the lowest and the highest are drawn." : "");
  return chart;
}

Chart epoch_chart(const RunFiles& run, const std::string& title, const std::string& what,
                  double EpochRow::*train, double EpochRow::*valid) {
  Series trained{.label = "train", .style = Series::Style::both};
  Series validated{.label = "validation", .style = Series::Style::both};
  for (const EpochRow& row : run.epochs) {
    trained.x.push_back(row.epoch);
    trained.y.push_back(row.*train);
    validated.x.push_back(row.epoch);
    validated.y.push_back(row.*valid);
  }
  return {.title = title + " per epoch", .x_label = "epoch", .y_label = what, .series = {trained, validated}};
}

Table epoch_table(const RunFiles& run) {
  Table table{.title = "Epochs",
              .header = {"epoch", "learning rate", "train loss", "train accuracy", "validation loss",
                         "validation accuracy", "training, s", "validation, s"},
              .numeric = std::vector<bool>(8, true),
              .wide = true};
  for (const EpochRow& row : run.epochs) {
    table.rows.push_back({whole_text(row.epoch), number_text(row.rate, 4), fixed_text(row.train_loss, 4),
                          fixed_text(row.train_accuracy, 4), fixed_text(row.valid_loss, 4),
                          fixed_text(row.valid_accuracy, 4), fixed_text(row.train_seconds, 2),
                          fixed_text(row.valid_seconds, 2)});
  }
  return table;
}

}  // namespace

Section curves_section(const RunFiles& run) {
  Section section{.id = "curves",
                  .title = "Loss and accuracy",
                  .text =
                      "Training figures are those of each batch before its update, of a network that changes "
                      "all the time; validation is done with the weights at the end of an epoch."};
  if (has_values(run.steps.loss)) {
    section.items.emplace_back(batch_chart(run, "Loss", "loss", run.steps.loss, &EpochRow::valid_loss));
    std::get<Chart>(section.items.back()).wide = !has_values(run.steps.accuracy);
  }
  if (has_values(run.steps.accuracy)) {
    section.items.emplace_back(
        batch_chart(run, "Accuracy", "accuracy", run.steps.accuracy, &EpochRow::valid_accuracy));
  }
  if (!run.epochs.empty()) {
    section.items.emplace_back(epoch_chart(run, "Loss", "loss", &EpochRow::train_loss, &EpochRow::valid_loss));
    section.items.emplace_back(
        epoch_chart(run, "Accuracy", "accuracy", &EpochRow::train_accuracy, &EpochRow::valid_accuracy));
    section.items.emplace_back(epoch_table(run));
  }
  return section;
}

Section rate_section(const RunFiles& run) {
  Section section{.id = "rate", .title = "Learning rate and momentum"};
  if (!has_values(run.steps.rate)) return section;
  Chart rate{.title = "Learning rate",
             .note = ends,
             .x_label = "batch",
             .y_label = "learning rate",
             .series = {curve_series("learning rate", run.steps.step, run.steps.rate)},
             .marks = epoch_marks(run)};
  section.items.emplace_back(std::move(rate));
  if (has_values(run.steps.momentum)) {
    section.text = "Momentum is the optimizer's option momentum or beta1.";
    section.items.emplace_back(Chart{.title = "Momentum",
                                     .note = ends,
                                     .x_label = "batch",
                                     .y_label = "momentum",
                                     .series = {curve_series("momentum", run.steps.step, run.steps.momentum)},
                                     .marks = epoch_marks(run)});
  }
  return section;
}

Section finder_section(const RunFiles& run) {
  Section section{.id = "finder", .title = "Learning-rate finder"};
  const Finder& finder = run.finder;
  if (!has_values(finder.loss.y)) return section;
  Chart chart{.title = "Loss at a growing learning rate",
              .x_label = "learning rate",
              .y_label = "loss",
              .log_x = true,
              .series = {{.label = "loss", .x = finder.loss.x, .y = finder.loss.y}},
              .wide = true};
  if (std::isfinite(finder.suggestion)) {
    chart.marks.push_back({finder.suggestion, fmt::format("suggested {:.3g}", finder.suggestion)});
    section.text = fmt::format("Suggested: {:.3g} ({}).", finder.suggestion, finder.reason);
  }
  section.items.emplace_back(std::move(chart));
  return section;
}

}  // namespace descent::report
