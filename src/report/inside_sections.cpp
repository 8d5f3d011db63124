// What layers, gradients and parameters did while training.
#include "report/sections.h"
#include "report/thin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace descent::report {

namespace {

// Room for numbers in one page: many curves get fewer points each.
constexpr std::size_t curve_room = 110'000;
constexpr std::size_t picture_room = 100'000;
constexpr std::size_t fewest_points = 100;
constexpr std::size_t most_columns = 600;

std::size_t curve_count(const RunFiles& run) {
  constexpr std::size_t of_a_layer = 5;  // means and deviations of outputs and gradients, the dead share
  constexpr std::size_t of_a_parameter = 3;
  return of_a_layer * run.layers.size() + of_a_parameter * run.parameters.size();
}

std::size_t points_a_curve(const RunFiles& run) {
  return std::clamp(curve_room / std::max<std::size_t>(1, curve_count(run)), fewest_points, most_points);
}

// The same thinning for all, so that all share their places.
std::size_t steps_a_point(const RunFiles& run) {
  std::size_t steps = 0;
  for (const LayerCurves& layer : run.layers) steps = std::max(steps, layer.step.size());
  for (const ParameterCurves& parameter : run.parameters) steps = std::max(steps, parameter.step.size());
  return values_a_point(steps, points_a_curve(run));
}

void add_series(Chart& chart, const std::string& label, const std::vector<double>& x,
                const std::vector<double>& y, std::size_t each, bool hidden = false) {
  if (!has_values(y)) return;
  chart.series.push_back({.label = label,
                          .x = thin_means(x, each),
                          .y = thin_means(y, each),
                          .hidden = hidden,
                          .color = static_cast<int>(chart.series.size())});
}

void add_chart(Section& section, Chart chart) {
  if (!chart.series.empty()) section.items.emplace_back(std::move(chart));
}

std::vector<double> dead_shares(const LayerHistograms& histograms) {
  std::vector<double> shares;
  for (std::size_t k = 0; k < histograms.step.size(); ++k) {
    double counted = 0;
    for (std::size_t bin = 0; bin < histogram_bins; ++bin)
      counted += histograms.counts[k * histogram_bins + bin];
    shares.push_back(counted > 0 ? histograms.counts[k * histogram_bins] / counted : 0);
  }
  return shares;
}

Heatmap color_dim(const LayerHistograms& histograms, std::size_t layers) {
  const std::size_t most =
      std::clamp(picture_room / (histogram_bins * layers), fewest_points / 2, most_columns);
  const std::size_t each = values_a_point(histograms.step.size(), most);
  Heatmap map{.title = "Layer " + histograms.name};
  if (each > 1) map.note = fmt::format("Thinned: each column is the mean of {} recorded batches.", each);
  map.values = thin_columns(histograms.counts, histogram_bins, each);
  map.rows = histogram_bins;
  map.columns = map.values.size() / histogram_bins;
  map.log_color = true;
  map.x_label = "batch";
  map.x_first = histograms.step.front();
  map.x_last = histograms.step.back();
  map.y_label = "|output|";
  map.y_high = 10;
  map.value_label = "outputs";
  return map;
}

}  // namespace

Section activations_section(const RunFiles& run) {
  Section section{
      .id = "activations",
      .title = "Activations",
      .text =
          "Of the outputs of watched layers in training batches. The pictures show how many outputs "
          "have which size, brighter for more; the lowest band is 0 to 0.25."};
  const std::size_t each = steps_a_point(run);
  const std::string note = thinned_note(each);
  Chart means{.title = "Means", .note = note, .x_label = "batch", .y_label = "mean of the outputs"};
  Chart deviations{.title = "Standard deviations",
                   .note = note,
                   .x_label = "batch",
                   .y_label = "standard deviation of the outputs"};
  for (const LayerCurves& layer : run.layers) {
    add_series(means, layer.name, layer.step, layer.output_mean, each);
    add_series(deviations, layer.name, layer.step, layer.output_std, each);
  }
  add_chart(section, std::move(means));
  add_chart(section, std::move(deviations));
  Chart dead{.title = "Share of outputs near zero",
             .note = "|output| < 0.25, of those below 10: the course's “dead chart”." + note,
             .x_label = "batch",
             .y_label = "share",
             .y_min = 0,
             .y_max = 1,
             .wide = true};
  for (const LayerHistograms& histograms : run.histograms) {
    section.items.emplace_back(color_dim(histograms, run.histograms.size()));
    add_series(dead, histograms.name, histograms.step, dead_shares(histograms), each);
  }
  add_chart(section, std::move(dead));
  return section;
}

Section gradients_section(const RunFiles& run) {
  Section section{.id = "gradients",
                  .title = "Gradients",
                  .text = "Of the loss with respect to the outputs of watched layers, in training batches."};
  const std::size_t each = steps_a_point(run);
  const std::string note = thinned_note(each);
  std::string last;
  for (const LayerCurves& layer : run.layers) {
    if (has_values(layer.gradient_mean) || has_values(layer.gradient_std)) last = layer.name;
  }
  Chart means{
      .title = "Means of gradients", .note = note, .x_label = "batch", .y_label = "mean of the gradient"};
  Chart deviations{.title = "Standard deviations of gradients",
                   .note = note,
                   .x_label = "batch",
                   .y_label = "standard deviation of the gradient",
                   .log_y = true};
  for (const LayerCurves& layer : run.layers) {
    add_series(means, layer.name, layer.step, layer.gradient_mean, each, layer.name == last);
    add_series(deviations, layer.name, layer.step, layer.gradient_std, each);
  }
  if (means.series.size() > 1) {
    means.note = fmt::format(
        "Layer {}, the last, is off at first: another scale. Its name below switches it on.{}", last, note);
  } else if (!means.series.empty()) {
    means.series.front().hidden = false;
  }
  add_chart(section, std::move(means));
  add_chart(section, std::move(deviations));
  if (has_values(run.gradient_norm.y)) {
    section.items.emplace_back(Chart{.title = "Norm of all gradients of parameters together",
                                     .note = "Before clipping.",
                                     .x_label = "batch",
                                     .y_label = "norm",
                                     .log_y = true,
                                     .series = {curve_series("norm", run.gradient_norm.x, run.gradient_norm.y)},
                                     .wide = true});
  }
  return section;
}

Section parameters_section(const RunFiles& run) {
  Section section{
      .id = "parameters",
      .title = "Parameters and updates",
      .text =
          "The ratio is the norm of a step's update over the norm of what it updates. Biases are off "
          "at first; names below a chart switch curves on and off."};
  const std::size_t each = steps_a_point(run);
  const std::string note = thinned_note(each);
  Chart ratios{.title = "Update ratio",
               .note = note,
               .x_label = "batch",
               .y_label = "‖update‖ / ‖parameter‖",
               .log_y = true,
               .wide = true};
  Chart means{.title = "Means of parameters", .note = note, .x_label = "batch", .y_label = "mean"};
  Chart deviations{.title = "Standard deviations of parameters",
                   .note = note,
                   .x_label = "batch",
                   .y_label = "standard deviation"};
  for (const ParameterCurves& parameter : run.parameters) {
    const bool bias = parameter.name.ends_with("bias");
    add_series(ratios, parameter.name, parameter.step, parameter.update_ratio, each, bias);
    add_series(means, parameter.name, parameter.step, parameter.mean, each, bias);
    add_series(deviations, parameter.name, parameter.step, parameter.std, each, bias);
  }
  add_chart(section, std::move(ratios));
  add_chart(section, std::move(means));
  add_chart(section, std::move(deviations));
  return section;
}

}  // namespace descent::report
