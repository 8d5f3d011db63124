#include "report/compare_report.h"

#include "report/sections.h"
#include "report/thin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace descent::report {

namespace {

using Runs = std::span<const LabelledRun>;

// Room for numbers in one page.
std::size_t points_a_curve(Runs runs) {
  constexpr std::size_t room = 24'000;
  constexpr std::size_t fewest = 200;
  return std::clamp(room / std::max<std::size_t>(1, runs.size()), fewest, most_points);
}

void add(Chart& chart, std::size_t run, const std::string& label, std::span<const double> x,
         std::span<const double> y, std::size_t most, Series extra = {}) {
  if (!has_values(y)) return;
  Curve curve = thin_extremes(x, y, most);
  extra.label = label;
  extra.x = std::move(curve.x);
  extra.y = std::move(curve.y);
  extra.color = static_cast<int>(run);
  chart.series.push_back(std::move(extra));
}

void add_chart(Section& section, Chart chart) {
  if (!chart.series.empty()) section.items.emplace_back(std::move(chart));
}

Chart batch_chart(Runs runs, bool smooth) {
  constexpr double beta = 0.9;
  Chart chart{.title = smooth ? "Training loss per batch, smoothed" : "Training loss per batch",
              .note = smooth ? "Exponentially weighted mean over about ten batches, bias corrected." : "",
              .x_label = "batch",
              .y_label = "loss",
              .log_y = smooth,
              .wide = smooth};
  const std::size_t most = points_a_curve(runs);
  for (std::size_t k = 0; k < runs.size(); ++k) {
    const StepCurves& steps = runs[k].run.steps;
    add(chart, k, runs[k].label, steps.step, smooth ? smoothed(steps.loss, beta) : steps.loss, most);
  }
  return chart;
}

Chart epoch_chart(Runs runs, const std::string& title, const std::string& unit, double EpochRow::*value) {
  Chart chart{.title = title, .x_label = "epoch", .y_label = unit};
  for (std::size_t k = 0; k < runs.size(); ++k) {
    Curve curve;
    for (const EpochRow& row : runs[k].run.epochs) {
      curve.x.push_back(row.epoch);
      curve.y.push_back(row.*value);
    }
    add(chart, k, runs[k].label, curve.x, curve.y, most_points, {.style = Series::Style::both});
  }
  return chart;
}

const LayerCurves* find_layer(const RunFiles& run, const std::string& name) {
  const auto found = std::ranges::find(run.layers, name, &LayerCurves::name);
  return found == run.layers.end() || !has_values(found->gradient_std) ? nullptr : &*found;
}

// Layers whose gradients at least two runs have, in the first such run's order.
std::vector<std::string> shared_layers(Runs runs) {
  constexpr std::size_t most = 8;
  std::vector<std::string> names;
  for (const LabelledRun& one : runs) {
    for (const LayerCurves& layer : one.run.layers) {
      const auto having = std::ranges::count_if(
          runs, [&](const LabelledRun& other) { return find_layer(other.run, layer.name) != nullptr; });
      if (having > 1 && std::ranges::find(names, layer.name) == names.end()) names.push_back(layer.name);
    }
  }
  if (names.size() > most) names.resize(most);
  return names;
}

Chart gradient_chart(Runs runs, const std::string& layer, bool deviation) {
  constexpr std::size_t most = 300;  // many such charts lie in one page
  Chart chart{.title = fmt::format("Layer {}: {} of the gradient", layer, deviation ? "deviation" : "mean"),
              .x_label = "batch",
              .y_label = deviation ? "standard deviation" : "mean",
              .log_y = deviation};
  for (std::size_t k = 0; k < runs.size(); ++k) {
    const LayerCurves* curves = find_layer(runs[k].run, layer);
    if (curves == nullptr) continue;
    add(chart, k, runs[k].label, curves->step, deviation ? curves->gradient_std : curves->gradient_mean, most);
  }
  return chart;
}

Section loss_section(Runs runs) {
  Section section{.id = "curves", .title = "Loss and accuracy"};
  add_chart(section, batch_chart(runs, true));
  add_chart(section, batch_chart(runs, false));
  add_chart(section, epoch_chart(runs, "Training loss per epoch", "loss", &EpochRow::train_loss));
  add_chart(section, epoch_chart(runs, "Validation loss per epoch", "loss", &EpochRow::valid_loss));
  add_chart(section, epoch_chart(runs, "Training accuracy per epoch", "accuracy", &EpochRow::train_accuracy));
  add_chart(section, epoch_chart(runs, "Validation accuracy per epoch", "accuracy", &EpochRow::valid_accuracy));
  Chart rates{.title = "Learning rate", .x_label = "batch", .y_label = "learning rate", .log_y = true};
  for (std::size_t k = 0; k < runs.size(); ++k) {
    add(rates, k, runs[k].label, runs[k].run.steps.step, runs[k].run.steps.rate, points_a_curve(runs));
  }
  add_chart(section, std::move(rates));
  return section;
}

Section gradient_section(Runs runs) {
  Section section{
      .id = "gradients",
      .title = "Gradients",
      .text =
          "Of the loss with respect to the outputs of layers that several runs watched, in training "
          "batches."};
  Chart norms{.title = "Norm of all gradients of parameters together",
              .x_label = "batch",
              .y_label = "norm",
              .log_y = true,
              .wide = true};
  for (std::size_t k = 0; k < runs.size(); ++k) {
    const Curve& norm = runs[k].run.gradient_norm;
    add(norms, k, runs[k].label, norm.x, norm.y, points_a_curve(runs));
  }
  if (norms.series.size() > 1) add_chart(section, std::move(norms));
  for (const std::string& layer : shared_layers(runs)) {
    add_chart(section, gradient_chart(runs, layer, false));
    add_chart(section, gradient_chart(runs, layer, true));
  }
  return section;
}

// "Highest validation accuracy: 0.8765 (adam2); …"
std::string verdict(Runs runs) {
  const LabelledRun* accurate = nullptr;
  const LabelledRun* sure = nullptr;
  const auto last = [](const LabelledRun* one) { return one->run.epochs.back(); };
  for (const LabelledRun& one : runs) {
    if (one.run.epochs.empty()) continue;
    const EpochRow& row = one.run.epochs.back();
    if (std::isfinite(row.valid_accuracy) && (!accurate || row.valid_accuracy > last(accurate).valid_accuracy))
      accurate = &one;
    if (std::isfinite(row.valid_loss) && (!sure || row.valid_loss < last(sure).valid_loss)) sure = &one;
  }
  std::string text;
  if (accurate != nullptr) {
    text = fmt::format("After its last epoch, {} has the highest validation accuracy, {:.4f}", accurate->label,
                       last(accurate).valid_accuracy);
    if (sure == accurate) {
      text += fmt::format(", and the lowest validation loss, {:.4f}", last(sure).valid_loss);
    } else if (sure != nullptr) {
      text += fmt::format("; {} has the lowest validation loss, {:.4f}", sure->label, last(sure).valid_loss);
    }
    text += ".";
  }
  return text;
}

}  // namespace

Page compare_page(Runs runs) {
  Page page{.title = fmt::format("{} runs compared", runs.size())};
  Section results{.id = "results", .title = "Results", .text = verdict(runs), .items = {results_table(runs)}};
  Table differences = differences_table(runs);
  if (!differences.rows.empty()) results.items.emplace_back(std::move(differences));
  page.sections.push_back(std::move(results));
  for (Section section : {loss_section(runs), gradient_section(runs)}) {
    if (!section.items.empty()) page.sections.push_back(std::move(section));
  }
  return page;
}

}  // namespace descent::report
