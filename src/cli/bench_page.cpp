#include "cli/bench_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace descent::cli {

namespace {

using report::Series;

constexpr double giga = 1e-9;
constexpr double milli = 1e3;

struct Range {
  double low = 0.1;
  double high = 100;
};

// Of the operations' intensities, and where the roofs bend.
Range intensities(const Bench& bench) {
  Range range;
  for (const OperationReport& one : bench.result.operations) {
    if (!(one.flops > 0 && one.bytes > 0)) continue;
    range.low = std::min(range.low, one.flops / one.bytes / 2);
    range.high = std::max(range.high, one.flops / one.bytes * 2);
  }
  return range;
}

// Up with the bandwidth, then level.
Series roof(const std::string& label, double flops, double bytes_per_second, const Range& range, int color) {
  Series series{.label = label, .color = color};
  const double bend = std::clamp(flops / bytes_per_second, range.low, range.high);
  for (const double x : {range.low, bend, range.high}) {
    series.x.push_back(x);
    series.y.push_back(std::min(flops, x * bytes_per_second) * giga);
  }
  return series;
}

Series points(const Bench& bench, const std::string& label, bool backward, int color) {
  Series series{.label = label, .style = Series::Style::points, .color = color};
  for (const OperationReport& one : bench.result.operations) {
    const bool is_backward = one.operation.find("backward") != std::string::npos;
    if (is_backward != backward || !(one.flops > 0 && one.bytes > 0 && one.seconds > 0)) continue;
    series.x.push_back(one.flops / one.bytes);
    series.y.push_back(one.flops / one.seconds * giga);
  }
  return series;
}

report::Chart roofline(const Bench& bench) {
  const Range range = intensities(bench);
  const Peaks::Copy& cached = bench.peaks->copies.front();
  const Peaks::Copy& memory = bench.peaks->copies.back();
  const bool mixed = bench.facts.precision == name(DType::bf16) && bench.peaks->bf16_flops > 0;
  const double flops = mixed ? bench.peaks->bf16_flops : bench.peaks->f32_flops;
  const auto label = [](const char* where, const Peaks::Copy& copy) {
    return fmt::format("roof {}, {:.0f} GB/s", where, copy.bytes_per_second * giga);
  };
  report::Chart chart{.title = "Roofline",
                      .note =
                          "Each point is an operation of the step. How far below the roof it lies is what it "
                          "leaves unused. Padded "
                          "taps count as work, so convolutions that leave them out may lie above.",
                      .x_label = "operations a byte read or written",
                      .y_label = "GFLOP/s",
                      .log_x = true,
                      .log_y = true,
                      .wide = true};
  chart.series.push_back(roof(label("in cache", cached), flops, cached.bytes_per_second, range, 2));
  chart.series.push_back(roof(label("in memory", memory), flops, memory.bytes_per_second, range, 1));
  if (mixed)
    chart.series.push_back(roof("roof of f32", bench.peaks->f32_flops, cached.bytes_per_second, range, 4));
  chart.series.push_back(points(bench, "forward", false, 0));
  Series backward = points(bench, "backward", true, 3);
  if (!backward.x.empty()) chart.series.push_back(std::move(backward));
  return chart;
}

report::Table operations(const Bench& bench) {
  report::Table table{
      .title = "Operations",
      .note =
          "In their order; of peak: the shortest time that arithmetic and memory allow, over the "
          "time taken.",
      .header = {"layer", "operation", "computed by", "layout", "ms", "GFLOP/s", "GB/s", "of peak"},
      .numeric = {false, false, false, false, true, true, true, true},
      .wide = true};
  const auto rate = [](double amount, double seconds) {
    return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", amount / seconds * giga) : std::string();
  };
  for (const OperationReport& one : bench.result.operations) {
    table.rows.push_back({one.layer, one.operation, one.implementation, one.layout,
                          fmt::format("{:.4g}", one.seconds * milli), rate(one.flops, one.seconds),
                          rate(one.bytes, one.seconds), fmt::format("{:.0f} %", 100 * share_of(bench, one))});
  }
  return table;
}

}  // namespace

report::Page bench_page(const Bench& bench) {
  const BenchFacts& facts = bench.facts;
  const Times& step = bench.result.step;
  report::Facts numbers{
      .title = "What was measured",
      .facts = {{"machine", facts.device},
                {"step, shortest", fmt::format("{:.4g} ms", step.least() * milli)},
                {"step, median", fmt::format("{:.4g} ms", step.median() * milli)},
                {"pictures a second", fmt::format("{:.0f}", static_cast<double>(facts.batch) / step.median())},
                {"of the machine's peak", fmt::format("{:.0f} %", 100 * share_of_operations(bench))}},
      .wide = true};
  return {.title = fmt::format("{} of {}", facts.mode == "train" ? "A step" : "An answer", facts.model),
          .subtitle = fmt::format("{}, batch {}, {}, {} threads", facts.input, facts.batch, facts.precision,
                                  facts.threads),
          .sections = {{.id = "roofline",
                        .title = "Under the machine's roofs",
                        .items = {roofline(bench), std::move(numbers), operations(bench)}}}};
}

}  // namespace descent::cli
