#include "cli/lr_find_files.h"

#include "base/files.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace descent::cli {

namespace {

nlohmann::ordered_json number_or_null(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

std::string csv_text(const RateSearch& search) {
  std::string text = "step,lr,loss\n";
  for (const FinderRow& row : search.rows) {
    text += fmt::format("{},{:.9g},", row.step, row.rate);
    if (std::isfinite(row.loss)) text += fmt::format("{:.9g}", row.loss);
    text += '\n';
  }
  return text;
}

std::string json_text_of(const RateSearch& search, const FinderFacts& facts) {
  nlohmann::ordered_json json;
  json["suggestion"] = number_or_null(search.answer.suggestion);
  json["reason"] = search.answer.reason;
  json["steepest"] = number_or_null(search.answer.steepest);
  json["lowest"] = number_or_null(search.answer.lowest);
  json["optimizer"] = facts.optimizer;
  json["gamma"] = facts.settings.gamma;
  json["max_multiple"] = facts.settings.max_multiple;
  json["start"] = facts.settings.start;
  return json.dump(2) + "\n";
}

std::string rate_text(const std::optional<double>& rate) {
  return rate ? fmt::format("{:.3g}", *rate) : std::string("none");
}

}  // namespace

report::Page finder_page(const RateSearch& search, const FinderFacts& facts) {
  report::Series losses{.label = "loss", .x = {}, .y = {}, .style = report::Series::Style::both};
  for (const FinderRow& row : search.rows) {
    losses.x.push_back(row.rate);
    losses.y.push_back(row.loss);
  }
  report::Chart chart{.title = "Loss against learning rate",
                      .note = "The loss of each batch before its update, not smoothed.",
                      .x_label = "learning rate",
                      .y_label = "loss",
                      .log_x = true,
                      .series = {std::move(losses)},
                      .wide = true};
  if (search.answer.suggestion) {
    chart.marks.push_back({*search.answer.suggestion, "suggested " + rate_text(search.answer.suggestion)});
  }
  report::Facts numbers{
      .title = "What it says",
      .facts = {{"suggested learning rate", rate_text(search.answer.suggestion)},
                {"why", search.answer.reason},
                {"steepest at", rate_text(search.answer.steepest)},
                {"lowest at", rate_text(search.answer.lowest)},
                {"first rate", fmt::format("{}", facts.settings.start)},
                {"times, each step", fmt::format("{}", facts.settings.gamma)},
                {"ends at a loss of", fmt::format("{} times the least", facts.settings.max_multiple)},
                {"steps", std::to_string(search.rows.size())}},
      .wide = true};
  return {.title = "Learning-rate finder",
          .subtitle = fmt::format("{} on {} with {}", facts.model, facts.data, facts.optimizer),
          .sections = {{.id = "finder",
                        .title = "Which learning rate?",
                        .text = "The rate grows with every step of a short run until the loss runs away; the "
                                "weights are put back afterwards.",
                        .items = {std::move(chart), std::move(numbers)}}}};
}

void write_finder_files(const std::filesystem::path& folder, const RateSearch& search,
                        const FinderFacts& facts) {
  write_file_atomically(folder / "lr_find.csv", csv_text(search));
  write_file_atomically(folder / "lr_find.json", json_text_of(search, facts));
  write_file_atomically(folder / "lr-find.html", report::page_text(finder_page(search, facts)));
}

}  // namespace descent::cli
