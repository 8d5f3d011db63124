#include "report/compare_report.h"

#include "base/toml.h"
#include "report/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>
#include <utility>

namespace descent::report {

namespace fs = std::filesystem;

namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

std::string value_of(const Values& values, std::string_view key) {
  const auto found =
      std::ranges::find(values, key, [](const auto& value) { return std::string_view(value.first); });
  return found == values.end() ? std::string() : found->second;
}

// Without the quotes of a TOML text.
std::string plain(const std::string& value) {
  const bool quoted =
      value.size() >= 2 && (value.front() == '\'' || value.front() == '"') && value.back() == value.front();
  return quoted ? value.substr(1, value.size() - 2) : value;
}

std::string value_text(const toml::node& node) {
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  std::ostringstream text;
  node.visit([&](const auto& value) { text << value; });
  return text.str();
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "–" : text;
}

// The path's last `count` parts.
std::string tail(const fs::path& path, std::size_t count) {
  const std::vector<fs::path> parts(path.begin(), path.end());
  fs::path end;
  for (std::size_t k = parts.size() - std::min(count, parts.size()); k < parts.size(); ++k) end /= parts[k];
  return end.string();
}

fs::path clean(const fs::path& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

double best(const RunFiles& run, double EpochRow::*value, bool largest) {
  double found = missing;
  for (const EpochRow& row : run.epochs) {
    const double one = row.*value;
    if (std::isfinite(one) && (std::isnan(found) || (largest ? one > found : one < found))) found = one;
  }
  return found;
}

double first_rate(const RunFiles& run) {
  if (!run.steps.rate.empty()) return run.steps.rate.front();
  return run.epochs.empty() ? missing : run.epochs.front().rate;
}

std::vector<std::string> results_row(const LabelledRun& one) {
  const RunFiles& run = one.run;
  const Values config = config_values(run.config);
  const std::string optimizer =
      run.info.optimizer.empty() ? plain(value_of(config, "optimizer")) : run.info.optimizer;
  const std::string rate = value_of(config, "lr");
  const EpochRow last = run.epochs.empty() ? EpochRow{} : run.epochs.back();
  double seconds = run.epochs.empty() ? missing : 0;
  for (const EpochRow& row : run.epochs) seconds += row.train_seconds;
  return {one.label,
          or_dash(optimizer),
          rate.empty() ? number_text(first_rate(run)) : rate,
          fmt::format("{}", run.epochs.size()),
          fixed_text(best(run, &EpochRow::valid_accuracy, true), 4),
          fixed_text(last.valid_accuracy, 4),
          fixed_text(best(run, &EpochRow::valid_loss, false), 4),
          fixed_text(last.valid_loss, 4),
          fixed_text(last.train_accuracy, 4),
          fixed_text(last.train_loss, 4),
          fixed_text(seconds, 2)};
}

}  // namespace

std::vector<std::string> unique_labels(std::span<const fs::path> folders) {
  std::vector<fs::path> paths;
  for (const fs::path& folder : folders) paths.push_back(clean(folder));
  std::vector<std::string> labels;
  std::map<std::string, int> given;
  for (std::size_t k = 0; k < paths.size(); ++k) {
    std::size_t parts = 1;
    const auto meets_another = [&] {
      return std::ranges::any_of(paths, [&](const fs::path& other) {
        return other != paths[k] && tail(other, parts) == tail(paths[k], parts);
      });
    };
    while (meets_another()) ++parts;
    std::string label = tail(paths[k], parts);
    const int turn = ++given[label];
    if (turn > 1) label += fmt::format(" ({})", turn);
    labels.push_back(std::move(label));
  }
  return labels;
}

std::vector<std::pair<std::string, std::string>> config_values(const std::string& config) {
  toml::table table;
  try {
    table = toml::parse(config);
  } catch (const toml::parse_error&) {
    return {};
  }
  std::map<toml::source_index, std::pair<std::string, std::string>> lines;
  for (const auto& [key, node] : table) {
    lines.emplace(node.source().begin.line, std::pair(std::string(key.str()), value_text(node)));
  }
  Values values;
  for (auto& [line, value] : lines) values.push_back(std::move(value));
  return values;
}

Table results_table(std::span<const LabelledRun> runs) {
  Table table{.title = "Results",
              .note = "Training figures are those of the last epoch.",
              .header = {"run", "optimizer", "lr", "epochs", "best valid accuracy", "last valid accuracy",
                         "best valid loss", "last valid loss", "train accuracy", "train loss", "train, s"},
              .numeric = {false, false, true, true, true, true, true, true, true, true, true},
              .wide = true};
  for (const LabelledRun& run : runs) table.rows.push_back(results_row(run));
  return table;
}

Table differences_table(std::span<const LabelledRun> runs) {
  Table table{.title = "Settings that differ", .header = {"setting"}, .numeric = {}, .wide = true};
  std::vector<Values> configs;
  std::vector<std::string> keys;
  for (const LabelledRun& run : runs) {
    table.header.push_back(run.label);
    configs.push_back(config_values(run.run.config));
    for (const auto& [key, value] : configs.back()) {
      if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
    }
  }
  for (const std::string& key : keys) {
    std::vector<std::string> row{key};
    std::set<std::string> different;
    for (const Values& config : configs) {
      const std::string value = plain(value_of(config, key));
      different.insert(value);
      row.push_back(or_dash(value));
    }
    if (different.size() > 1) table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace descent::report
