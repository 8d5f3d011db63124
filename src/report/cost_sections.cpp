// What the network is made of, and where its time went.
#include "report/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

namespace descent::report {

namespace {

enum class Part : std::uint8_t { forward, backward, update, load };
constexpr std::array part_names{"forward", "backward", "update", "load"};

// "conv backward data" → "conv", backward
std::pair<std::string, Part> parts_of(const std::string& operation) {
  for (const Part part : {Part::forward, Part::backward}) {
    const std::string word = std::string(" ") + part_names.at(static_cast<std::size_t>(part));
    const std::size_t at = operation.find(word);
    if (at != std::string::npos) return {operation.substr(0, at), part};
  }
  return {operation, operation.starts_with("load") ? Part::load : Part::update};
}

// One bar: an operation of a layer in all its parts.
struct Bar {
  std::string label;
  std::array<double, part_names.size()> seconds{};

  [[nodiscard]] double total() const { return std::accumulate(seconds.begin(), seconds.end(), 0.0); }
};

std::vector<Bar> bars_of(const std::vector<OperationTime>& operations) {
  std::vector<Bar> bars;
  for (const OperationTime& operation : operations) {
    if (std::isnan(operation.seconds)) continue;
    const auto [name, part] = parts_of(operation.operation);
    const std::string label = operation.layer.empty() ? name : fmt::format("{} {}", operation.layer, name);
    auto bar = std::ranges::find(bars, label, &Bar::label);
    if (bar == bars.end()) bar = bars.insert(bars.end(), Bar{label});
    bar->seconds.at(static_cast<std::size_t>(part)) += operation.seconds;
  }
  return bars;
}

constexpr double milli = 1e3;

Bars time_bars(std::vector<Bar> all) {
  constexpr std::size_t most = 24;
  std::ranges::stable_sort(all, std::ranges::greater{}, &Bar::total);
  if (all.size() > most) {
    Bar rest{fmt::format("{} others", all.size() - most + 1)};
    for (std::size_t k = most - 1; k < all.size(); ++k) {
      for (std::size_t part = 0; part < rest.seconds.size(); ++part)
        rest.seconds.at(part) += all[k].seconds.at(part);
    }
    all.resize(most - 1);
    all.push_back(rest);
  }
  Bars bars{.title = "Time of a training step, by operation", .x_label = "milliseconds a step", .wide = true};
  for (const Bar& bar : all) bars.labels.push_back(bar.label);
  for (std::size_t part = 0; part < part_names.size(); ++part) {
    Bars::Group group{part_names.at(part), {}};
    for (const Bar& bar : all) group.values.push_back(milli * bar.seconds.at(part));
    const bool used = std::ranges::any_of(group.values, [](double value) { return value > 0; });
    if (used) bars.groups.push_back(std::move(group));
  }
  return bars;
}

Table part_table(const std::vector<Bar>& bars, double total) {
  Table table{
      .title = "Parts of a step", .header = {"part", "ms a step", "share"}, .numeric = {false, true, true}};
  for (std::size_t part = 0; part < part_names.size(); ++part) {
    double seconds = 0;
    for (const Bar& bar : bars) seconds += bar.seconds.at(part);
    if (seconds > 0) {
      table.rows.push_back(
          {part_names.at(part), number_text(milli * seconds, 4), percent_text(seconds / total)});
    }
  }
  table.rows.push_back({"all", number_text(milli * total, 4), "100 %"});
  return table;
}

// "3.1" of billions a second; empty where nothing was counted.
std::string rate_text(double count, double seconds) {
  constexpr double billion = 1e9;
  return count > 0 && seconds > 0 ? number_text(count / seconds / billion, 3) : std::string();
}

Table operation_table(const std::vector<OperationTime>& operations, double total) {
  Table table{
      .title = "Operations",
      .note =
          "In their order. GFLOP/s and GB/s count what the operation computes, and reads and writes at least.",
      .header = {"layer", "operation", "ms", "share", "GFLOP/s", "GB/s", "computed by", "layout"},
      .numeric = {false, false, true, true, true, true, false, false},
      .wide = true};
  for (const OperationTime& one : operations) {
    table.rows.push_back({one.layer, one.operation, number_text(milli * one.seconds, 4),
                          percent_text(one.seconds / total), rate_text(one.flops, one.seconds),
                          rate_text(one.bytes, one.seconds), one.implementation, one.layout});
  }
  return table;
}

}  // namespace

Section network_section(const RunFiles& run) {
  Section section{.id = "network", .title = "Network"};
  if (run.network.empty()) return section;
  Table table{.title = "Layers",
              .note = "Work is in thousands of multiply-accumulates, forward, for one picture.",
              .header = {"layer", "operation", "input", "output", "parameters", "work, thousands"},
              .numeric = {false, false, false, false, true, true},
              .wide = true};
  constexpr double thousand = 1e3;
  double parameters = 0;
  double macs = 0;
  for (const NetworkLayer& layer : run.network) {
    table.rows.push_back({layer.layer, layer.operation, layer.input, layer.output, whole_text(layer.parameters),
                          fixed_text(layer.macs / thousand, 1)});
    parameters += layer.parameters;
    macs += layer.macs;
  }
  table.rows.push_back({"all", "", "", "", whole_text(parameters), fixed_text(macs / thousand, 1)});
  section.items.emplace_back(std::move(table));
  return section;
}

Section time_section(const RunFiles& run) {
  Section section{.id = "time", .title = "Where the time went"};
  const std::vector<Bar> bars = bars_of(run.operations);
  double total = 0;
  for (const Bar& bar : bars) total += bar.total();
  if (!(total > 0)) return section;
  section.text =
      "Means over the watched training steps, which may compute layers one by one that are otherwise joined.";
  section.items.emplace_back(time_bars(bars));
  section.items.emplace_back(part_table(bars, total));
  section.items.emplace_back(operation_table(run.operations, total));
  return section;
}

}  // namespace descent::report
