// What became of the run, and what it was made with.
#include "report/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace descent::report {

namespace {

using FactList = std::vector<std::pair<std::string, std::string>>;

void add(FactList& facts, const char* name, const std::string& value) {
  if (!value.empty() && value != "–") facts.emplace_back(name, value);
}

const EpochRow* best_epoch(const RunFiles& run) {
  const EpochRow* best = nullptr;
  for (const EpochRow& row : run.epochs) {
    if (!std::isnan(row.valid_accuracy) && (best == nullptr || row.valid_accuracy > best->valid_accuracy))
      best = &row;
  }
  return best;
}

std::string progress_text(const RunFiles& run) {
  const auto whole = [](double value) {
    return std::isnan(value) ? std::string() : " of " + whole_text(value);
  };
  std::string text = fmt::format("{}{} epochs", run.epochs.size(), whole(run.info.epochs));
  if (!run.steps.step.empty()) {
    text += fmt::format(", {}{} batches", whole_text(run.steps.step.back() + 1),
                        whole(run.info.epochs * run.info.steps_per_epoch));
  }
  return text;
}

FactList results(const RunFiles& run) {
  FactList facts{{"state", state_text(run.info)}};
  add(facts, "trained", progress_text(run));
  if (const EpochRow* best = best_epoch(run)) {
    add(facts, "best validation accuracy", fmt::format("{:.4f} (epoch {})", best->valid_accuracy, best->epoch));
  }
  if (!run.epochs.empty()) {
    const EpochRow& last = run.epochs.back();
    add(facts, "last validation accuracy", fixed_text(last.valid_accuracy, 4));
    add(facts, "last validation loss", fixed_text(last.valid_loss, 4));
    double seconds = 0;
    for (const EpochRow& row : run.epochs) seconds += row.train_seconds;
    add(facts, "time to train", std::isfinite(seconds) ? fmt::format("{:.2f} s", seconds) : "");
    const double pictures = run.info.train_pictures / last.train_seconds;
    add(facts, "speed, last epoch", std::isfinite(pictures) ? whole_text(pictures) + " pictures/s" : "");
  }
  add(facts, "data", run.info.data);
  add(facts, "training pictures", whole_text(run.info.train_pictures));
  add(facts, "validation pictures", whole_text(run.info.valid_pictures));
  add(facts, "network", run.info.model);
  add(facts, "parameters", whole_text(run.info.parameters));
  add(facts, "optimizer", run.info.optimizer);
  add(facts, "batch size", whole_text(run.info.batch_size));
  add(facts, "command", run.info.command);
  return facts;
}

}  // namespace

Section summary_section(const RunFiles& run) {
  return {.id = "summary", .title = "Summary", .items = {Facts{.facts = results(run), .wide = true}}};
}

Section configuration_section(const RunFiles& run) {
  Section section{.id = "configuration", .title = "Configuration and machine"};
  FactList machine;
  add(machine, "descent", run.info.version);
  add(machine, "started", moment_text(run.info.started));
  add(machine, "finished", moment_text(run.info.finished));
  add(machine, "host", run.info.host);
  add(machine, "system", run.info.os);
  add(machine, "processor", run.info.processor);
  add(machine, "threads", whole_text(run.info.threads));
  add(machine, "compiler", run.info.compiler);
  add(machine, "device", run.info.device);
  if (!machine.empty())
    section.items.emplace_back(Facts{.title = "Versions and machine", .facts = machine, .wide = true});
  if (!run.config.empty()) {
    section.items.emplace_back(Code{.title = "config.toml",
                                    .note = "descent train --config with this file repeats the run.",
                                    .text = run.config});
  }
  return section;
}

}  // namespace descent::report
