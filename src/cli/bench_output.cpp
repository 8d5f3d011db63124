#include "cli/bench_output.h"

#include "cli/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace descent::cli {

namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

constexpr double milli = 1e3;
constexpr double giga = 1e-9;

double rate(double amount, double seconds) {
  return seconds > 0 ? amount / seconds : 0;
}

std::string giga_text(double amount, double seconds) {
  return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", amount / seconds * giga) : std::string("-");
}

std::string share_text(double share) {
  return share > 0 ? fmt::format("{:.0f} %", 100 * share) : std::string("-");
}

std::string milliseconds(double seconds) {
  return fmt::format("{:.4g}", milli * seconds);
}

Limits limits_of(const Bench& bench, DType type, double bytes) {
  if (!bench.peaks) return {};
  const bool short_numbers = type == DType::bf16 && bench.peaks->bf16_flops > 0;
  return {short_numbers ? bench.peaks->bf16_flops : bench.peaks->f32_flops, bandwidth(*bench.peaks, bytes)};
}

double share_of_update(const Bench& bench) {
  const double bytes = bench.update_bytes;
  return share_of_limits(0, bytes, bench.result.step.least(), limits_of(bench, DType::f32, bytes));
}

double sum_of(const std::vector<OperationReport>& operations, double OperationReport::*member) {
  double sum = 0;
  for (const OperationReport& one : operations) sum += one.*member;
  return sum;
}

std::string facts_text(const BenchFacts& facts) {
  if (facts.mode == "update") return fmt::format("update with {}; {}\n", facts.optimizer, facts.device);
  return fmt::format("{} of {}, {} → {} classes, batch {}, {}{}, kernels {}; {}\n", facts.mode, facts.model,
                     facts.input, facts.classes, facts.batch, facts.precision,
                     facts.optimizer.empty() ? "" : ", " + facts.optimizer, facts.kernels, facts.device);
}

std::string peaks_text(const Peaks& peaks) {
  std::vector<std::string> copies;
  for (const Peaks::Copy& copy : peaks.copies) {
    copies.push_back(fmt::format("{} MiB {:.0f}", copy.bytes >> 20U, copy.bytes_per_second * giga));
  }
  return fmt::format("the machine's peaks: f32 {:.0f} GFLOP/s, bf16 {}, copies in GB/s: {}\n",
                     peaks.f32_flops * giga,
                     peaks.bf16_flops > 0 ? fmt::format("{:.0f} GFLOP/s", peaks.bf16_flops * giga) : "none",
                     fmt::join(copies, ", "));
}

std::string times_text(const Bench& bench) {
  const auto row = [](std::string_view name, const Times& times, double images) {
    return std::vector<std::string>{std::string(name), milliseconds(times.least()),
                                    milliseconds(times.median()),
                                    images > 0 ? fmt::format("{:.0f}", rate(images, times.median())) : ""};
  };
  Rows rows{{"", "ms, min", "median", "images/s"}};
  for (const BenchPart& part : bench.result.parts) rows.push_back(row(part.name, part.times, 0));
  rows.push_back(row(fmt::format("all, {} runs", bench.result.step.seconds.size()), bench.result.step,
                     static_cast<double>(bench.facts.batch)));
  return table_text(rows, {false, true, true, true});
}

std::string operations_text(const Bench& bench, std::size_t columns) {
  const std::vector<OperationReport>& operations = bench.result.operations;
  Rows rows{{"layer", "operation", "implementation", "layout", "ms", "GFLOP/s", "GB/s", "of peak"}};
  const auto add = [&](const OperationReport& one, double share) {
    rows.push_back({one.layer, one.operation, one.implementation, one.layout, milliseconds(one.seconds),
                    giga_text(one.flops, one.seconds), giga_text(one.bytes, one.seconds), share_text(share)});
  };
  for (const OperationReport& one : operations) add(one, share_of(bench, one));
  add({"all", "", "", "", sum_of(operations, &OperationReport::seconds),
       sum_of(operations, &OperationReport::flops), sum_of(operations, &OperationReport::bytes)},
      share_of_operations(bench));
  fit_table(rows, std::array<std::size_t, 4>{0, 1, 2, 3}, columns);
  return table_text(rows, {false, false, false, false, true, true, true, true});
}

std::string update_text(const Bench& bench) {
  return fmt::format("{} parameters, {:.1f} MB a pass: {} GB/s, {} of the machine's copy\n",
                     bench.result.parameters, bench.update_bytes / 1e6,
                     giga_text(bench.update_bytes, bench.result.step.least()),
                     share_text(share_of_update(bench)));
}

Json peaks_json(const Peaks& peaks) {
  Json copies = Json::array();
  for (const Peaks::Copy& copy : peaks.copies) {
    copies.push_back({{"bytes", copy.bytes}, {"bytes_per_second", copy.bytes_per_second}});
  }
  return {{"f32_flops", peaks.f32_flops}, {"bf16_flops", peaks.bf16_flops}, {"copies", std::move(copies)}};
}

Json operation_json(const Bench& bench, const OperationReport& one) {
  return {{"layer", one.layer},
          {"operation", one.operation},
          {"implementation", one.implementation},
          {"layout", one.layout},
          {"precision", name(one.type)},
          {"seconds", one.seconds},
          {"flops", one.flops},
          {"bytes", one.bytes},
          {"flops_per_second", rate(one.flops, one.seconds)},
          {"bytes_per_second", rate(one.bytes, one.seconds)},
          {"share", share_of(bench, one)}};
}

Json work_json(const BenchFacts& facts) {
  return {{"model", facts.model},     {"data", facts.data},   {"input", facts.input},
          {"classes", facts.classes}, {"batch", facts.batch}, {"precision", facts.precision},
          {"kernels", facts.kernels}};
}

Json update_json(const Bench& bench) {
  const double seconds = bench.result.step.least();
  return {{"bytes", bench.update_bytes},
          {"bytes_per_second", rate(bench.update_bytes, seconds)},
          {"share", share_of_update(bench)}};
}

// Of a step or an answer: its parts and operations.
Json step_json(const Bench& bench) {
  const BenchResult& result = bench.result;
  Json parts = Json::array();
  for (const BenchPart& part : result.parts) {
    parts.push_back(
        {{"part", part.name}, {"seconds_min", part.times.least()}, {"seconds_median", part.times.median()}});
  }
  Json operations = Json::array();
  for (const OperationReport& one : result.operations) operations.push_back(operation_json(bench, one));
  Json json{{"images_per_second", rate(static_cast<double>(bench.facts.batch), result.step.median())},
            {"workspace_bytes", result.workspace_bytes}};
  if (bench.facts.mode == "train") json["loss"] = result.loss;
  json.update({{"parts", std::move(parts)},
               {"operations_seconds", sum_of(result.operations, &OperationReport::seconds)},
               {"operations_flops", sum_of(result.operations, &OperationReport::flops)},
               {"share", share_of_operations(bench)},
               {"operations", std::move(operations)}});
  return json;
}

}  // namespace

double share_of(const Bench& bench, const OperationReport& one) {
  return share_of_limits(one.flops, one.bytes, one.seconds, limits_of(bench, one.type, one.bytes));
}

double share_of_operations(const Bench& bench) {
  double least = 0;
  for (const OperationReport& one : bench.result.operations) least += share_of(bench, one) * one.seconds;
  return rate(least, sum_of(bench.result.operations, &OperationReport::seconds));
}

std::string bench_text(const Bench& bench, std::size_t columns) {
  std::string text = facts_text(bench.facts);
  if (bench.peaks) text += peaks_text(*bench.peaks);
  text += "\n" + times_text(bench);
  if (bench.facts.mode == "update") return text + "\n" + update_text(bench);
  return text + "\n" + operations_text(bench, columns) +
         "\nof peak: the shortest time that arithmetic and memory allow, over the time taken. Padded taps "
         "count as\n"
         "work: kernels that leave them out may show more than the machine can do.\n";
}

Json bench_json(const Bench& bench) {
  const BenchFacts& facts = bench.facts;
  const BenchResult& result = bench.result;
  const bool update = facts.mode == "update";
  Json json{{"format", "descent bench 1"}, {"version", DESCENT_VERSION}, {"compiler", DESCENT_COMPILER},
            {"machine", facts.device},     {"threads", facts.threads},   {"mode", facts.mode}};
  if (!update) json.update(work_json(facts));
  if (!facts.optimizer.empty()) json["optimizer"] = facts.optimizer;
  json.update({{"parameters", result.parameters},
               {"peaks", bench.peaks ? peaks_json(*bench.peaks) : Json()},
               {"runs", result.step.seconds.size()},
               {"seconds_min", result.step.least()},
               {"seconds_median", result.step.median()},
               {"seconds_max", result.step.most()},
               {"peak_resident_bytes", bench.peak_resident_bytes}});
  json.update(update ? update_json(bench) : step_json(bench));
  return json;
}

}  // namespace descent::cli
