// The files that grow with the steps.
#include "report/csv_reader.h"
#include "report/run_files.h"

#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <string_view>

namespace descent::report {

namespace {

// Rows of many names, one after another, as one entry a name in the order of their first rows.
template <class Entry>
class ByName {
 public:
  Entry& operator[](std::string_view name) {
    const auto found = places_.find(name);
    if (found != places_.end()) return entries_[found->second];
    places_.emplace(name, entries_.size());
    Entry& entry = entries_.emplace_back();
    entry.name = name;
    return entry;
  }
  [[nodiscard]] std::vector<Entry> take() { return std::move(entries_); }

 private:
  std::map<std::string, std::size_t, std::less<>> places_;
  std::vector<Entry> entries_;
};

}  // namespace

StepCurves read_steps(const std::string& text) {
  CsvReader rows(text);
  const std::size_t step = rows.column("step");
  const std::size_t rate = rows.column("lr");
  const std::size_t loss = rows.column("train_loss");
  const std::size_t accuracy = rows.column("train_accuracy");
  const std::size_t momentum = rows.column("momentum");
  StepCurves curves;
  while (rows.next()) {
    if (std::isnan(rows.number(step))) continue;
    curves.step.push_back(rows.number(step));
    curves.rate.push_back(rows.number(rate));
    curves.loss.push_back(rows.number(loss));
    curves.accuracy.push_back(rows.number(accuracy));
    curves.momentum.push_back(rows.number(momentum));
  }
  return curves;
}

std::vector<EpochRow> read_epochs(const std::string& text) {
  CsvReader rows(text);
  const auto number = [&rows](const char* name) { return rows.number(rows.column(name)); };
  std::vector<EpochRow> epochs;
  while (rows.next()) {
    EpochRow row{number("epoch"),          number("step"),           number("lr"),
                 number("train_loss"),     number("train_accuracy"), number("valid_loss"),
                 number("valid_accuracy"), number("train_seconds"),  number("valid_seconds")};
    if (!std::isnan(row.epoch)) epochs.push_back(row);
  }
  return epochs;
}

std::vector<LayerCurves> read_layers(const std::string& text) {
  CsvReader rows(text);
  const std::size_t step = rows.column("step");
  const std::size_t layer = rows.column("layer");
  const std::size_t output_mean = rows.column("output_mean");
  const std::size_t output_std = rows.column("output_std");
  const std::size_t gradient_mean = rows.column("gradient_mean");
  const std::size_t gradient_std = rows.column("gradient_std");
  ByName<LayerCurves> layers;
  while (rows.next()) {
    if (std::isnan(rows.number(step))) continue;
    LayerCurves& curves = layers[rows.text(layer)];
    curves.step.push_back(rows.number(step));
    curves.output_mean.push_back(rows.number(output_mean));
    curves.output_std.push_back(rows.number(output_std));
    curves.gradient_mean.push_back(rows.number(gradient_mean));
    curves.gradient_std.push_back(rows.number(gradient_std));
  }
  return layers.take();
}

std::vector<LayerHistograms> read_histograms(const std::string& text) {
  CsvReader rows(text);
  const std::size_t step = rows.column("step");
  const std::size_t layer = rows.column("layer");
  const std::size_t first = rows.column("h0");
  ByName<LayerHistograms> layers;
  if (first == CsvReader::no_column) return {};
  while (rows.next()) {
    std::array<double, histogram_bins> counts{};
    bool whole = !std::isnan(rows.number(step));
    for (std::size_t bin = 0; bin < histogram_bins; ++bin) {
      counts.at(bin) = rows.number(first + bin);
      whole = whole && std::isfinite(counts.at(bin));
    }
    if (!whole) continue;
    LayerHistograms& histograms = layers[rows.text(layer)];
    histograms.step.push_back(rows.number(step));
    histograms.counts.insert(histograms.counts.end(), counts.begin(), counts.end());
  }
  return layers.take();
}

std::vector<ParameterCurves> read_parameters(const std::string& text) {
  CsvReader rows(text);
  const std::size_t step = rows.column("step");
  const std::size_t parameter = rows.column("parameter");
  const std::size_t mean = rows.column("mean");
  const std::size_t std = rows.column("std");
  const std::size_t update_ratio = rows.column("update_ratio");
  ByName<ParameterCurves> parameters;
  while (rows.next()) {
    if (std::isnan(rows.number(step))) continue;
    ParameterCurves& curves = parameters[rows.text(parameter)];
    curves.step.push_back(rows.number(step));
    curves.mean.push_back(rows.number(mean));
    curves.std.push_back(rows.number(std));
    curves.update_ratio.push_back(rows.number(update_ratio));
  }
  return parameters.take();
}

Curve read_curve(const std::string& text, const char* x, const char* y) {
  CsvReader rows(text);
  const std::size_t x_column = rows.column(x);
  const std::size_t y_column = rows.column(y);
  Curve curve;
  while (rows.next()) {
    if (std::isnan(rows.number(x_column))) continue;
    curve.x.push_back(rows.number(x_column));
    curve.y.push_back(rows.number(y_column));
  }
  return curve;
}

}  // namespace descent::report
