#include "train/run_record.h"

#include "base/csv.h"
#include "base/files.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

namespace descent {

namespace {

std::string now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

}  // namespace

std::string network_csv(const std::vector<LayerRow>& rows) {
  std::string text = "layer,operation,input,output,parameters,macs\n";
  for (const LayerRow& row : rows) {
    text += fmt::format("{},{},{},{},{},{}\n", csv_field(row.layer), row.operation, to_string(row.input),
                        to_string(row.output), row.parameters, row.macs);
  }
  return text;
}

RunRecord::RunRecord(std::filesystem::path folder, RunFacts facts, const Network& network)
    : folder_(std::move(folder)), facts_(std::move(facts)), layers_(layer_rows(network)) {}

void RunRecord::before_fit(FitState& state) {
  started_ = now();
  went_through_ = false;
  write_file_atomically(folder_ / "network.csv", network_csv(layers_));
  write(state, "running", "");
}

void RunRecord::after_fit(FitState& /*state*/) {
  went_through_ = true;
}

void RunRecord::cleanup_fit(FitState& state) {
  write(state, state.failed ? "failed" : went_through_ ? "done" : "interrupted", now());
}

void RunRecord::write(const FitState& state, const std::string& outcome, const std::string& finished) const {
  using Json = nlohmann::ordered_json;
  const std::filesystem::path folder = std::filesystem::absolute(folder_).lexically_normal();
  const Json run{{"name", (folder.has_filename() ? folder : folder.parent_path()).filename().string()},
                 {"version", facts_.version},
                 {"command", facts_.command},
                 {"device", facts_.device},
                 {"host", facts_.host},
                 {"os", facts_.os},
                 {"processor", facts_.processor},
                 {"threads", facts_.threads},
                 {"compiler", facts_.compiler},
                 {"started", started_},
                 {"finished", finished.empty() ? Json() : Json(finished)},
                 {"state", outcome},
                 {"pid", ::getpid()},
                 {"epochs", state.settings.epochs},
                 {"steps_per_epoch", state.steps_per_epoch},
                 {"batch_size", state.settings.batch_size},
                 {"train_pictures", facts_.train_pictures},
                 {"valid_pictures", facts_.valid_pictures},
                 {"data", facts_.data},
                 {"model", facts_.model},
                 {"optimizer", facts_.optimizer},
                 {"classes", facts_.classes},
                 {"parameters", parameter_count(state.store.layout())}};
  write_file_atomically(folder_ / "run.json", run.dump(2, ' ', false, Json::error_handler_t::replace) + '\n');
}

}  // namespace descent
