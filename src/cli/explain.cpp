#include "cli/explain.h"

#include "cli/terminal.h"
#include "cli/text.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <vector>

namespace descent::cli {

namespace {

std::string giga_each_second(double amount, double seconds) {
  return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", amount / seconds / 1e9) : std::string("-");
}

void print_plan(const std::vector<OperationReport>& operations) {
  std::vector<std::vector<std::string>> rows{
      {"layer", "operation", "implementation", "layout", "ms", "GFLOP/s", "GB/s", "MB"}};
  double seconds = 0;
  double flops = 0;
  for (const OperationReport& one : operations) {
    rows.push_back({one.layer, one.operation, one.implementation, one.layout,
                    fmt::format("{:.3f}", one.seconds * 1e3), giga_each_second(one.flops, one.seconds),
                    giga_each_second(one.bytes, one.seconds), fmt::format("{:.1f}", one.bytes / 1e6)});
    seconds += one.seconds;
    flops += one.flops;
  }
  rows.push_back(
      {"all", "", "", "", fmt::format("{:.3f}", seconds * 1e3), giga_each_second(flops, seconds), "", ""});
  fit_table(rows, std::array<std::size_t, 4>{0, 1, 2, 3}, Terminal(STDOUT_FILENO).table_columns());
  fmt::print("{}", table_text(rows, {false, false, false, false, true, true, true, true}));
}

void print_types(const std::vector<OperationReport>& operations) {
  double seconds = 0;
  double in_bf16 = 0;
  std::size_t count = 0;
  for (const OperationReport& one : operations) {
    seconds += one.seconds;
    if (one.type != DType::bf16) continue;
    in_bf16 += one.seconds;
    ++count;
  }
  fmt::print("in bf16: {} of {} operations, {:.0f} % of the time; the others in f32\n", count,
             operations.size(), seconds > 0 ? 100 * in_bf16 / seconds : 0);
}

void explain_mode(const Network& network, ParameterStore& store, const PictureSet& pictures,
                  PlanRequest request) {
  request.batch = std::min(request.batch, static_cast<std::int64_t>(pictures.size()));
  Buffer workspace;  // outlives the plan
  const std::unique_ptr<Plan> plan = store.device().prepare(network, request, store);
  workspace = store.device().allocate(plan->workspace_bytes());
  plan->bind(workspace);
  std::vector<std::uint32_t> indices(static_cast<std::size_t>(request.batch));
  std::iota(indices.begin(), indices.end(), 0U);
  plan->load(pictures.source(network.normalisation), {indices});
  fmt::print("{}, batch {}, workspace {:.1f} MB\n", request.mode == Mode::train ? "training" : "validation",
             request.batch, static_cast<double>(plan->workspace_bytes()) / 1e6);
  const std::vector<OperationReport> operations = plan->explain(10);
  print_plan(operations);
  if (request.precision == DType::bf16) print_types(operations);
}

}  // namespace

void explain(const Network& network, ParameterStore& store, const DataSet& data,
             const TrainSettings& settings) {
  PlanRequest request;
  request.loss = true;
  request.precision = settings.precision;
  request.mode = Mode::train;
  request.batch = settings.batch_size;
  fmt::print("network {} on {}: {}\n\n", network.name, store.device().name(), store.device().description());
  explain_mode(network, store, data.train, request);
  request.mode = Mode::infer;
  request.batch = settings.valid_batch_size;
  fmt::print("\n");
  explain_mode(network, store, data.valid, request);
}

}  // namespace descent::cli
