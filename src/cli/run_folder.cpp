#include "cli/run_folder.h"

#include "base/files.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <system_error>
#include <vector>

namespace descent::cli {

namespace fs = std::filesystem;

namespace {

// Files of which one alone says that there is a run, and those that come and go with it.
constexpr std::array run_files{"config.toml",           "metrics.csv",      "steps.csv",
                               "model.safetensors",     "best.safetensors", "run.json",
                               "checkpoint.safetensors"};
constexpr std::array other_files{"plan.json",      "layers.csv",     "histograms.csv", "gradients.csv",
                                 "parameters.csv", "operations.csv", "network.csv",    "confusion.csv",
                                 "worst.csv",      "worst.png",      "batch.csv",      "batch.png",
                                 "lr_find.csv",    "lr_find.json",   "lr-find.html",   "report.html"};
constexpr std::string_view event_files = "events.out.tfevents.";

// What an older run left would be taken for results of the new one.
void remove_run(const fs::path& folder) {
  std::error_code error;
  for (const char* file : run_files) fs::remove(folder / file, error);
  for (const char* file : other_files) fs::remove(folder / file, error);
  std::vector<fs::path> events;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename().string().starts_with(event_files)) events.push_back(entry.path());
  }
  for (const fs::path& file : events) fs::remove(file, error);
}

// Creating is how runs that start at the same time tell whose the folder is.
fs::path make_numbered(const fs::path& parent, const std::string& name) {
  require_writable_folder(parent);
  for (int number = 1;; ++number) {
    fs::path folder = parent / (number == 1 ? name : fmt::format("{}-{}", name, number));
    std::error_code error;
    if (fs::create_directory(folder, error)) return folder;
    if (error && !fs::exists(folder)) {
      throw Error(fmt::format("cannot create the folder '{}': {}", folder.string(), error.message()));
    }
  }
}

}  // namespace

bool holds_run(const fs::path& folder) {
  for (const char* file : run_files) {
    std::error_code error;
    if (fs::exists(folder / file, error)) return true;
  }
  return false;
}

void check_run_folder(const RunFolderChoice& choice) {
  if (!choice.out.empty() && !choice.force && holds_run(choice.out)) {
    throw Error(fmt::format(
        "--out '{}' holds a run already: choose another folder, or overwrite it with --force", choice.out));
  }
}

fs::path make_run_folder(const RunFolderChoice& choice, const std::string& name) {
  check_run_folder(choice);
  if (choice.out.empty() && !choice.force) return make_numbered("runs", name);
  const fs::path folder = choice.out.empty() ? fs::path("runs") / name : fs::path(choice.out);
  require_writable_folder(folder);
  remove_run(folder);
  return folder;
}

std::string folder_name(const std::string& name) {
  std::string result;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                       c == '_' || c == '-';
    result += plain ? c : '-';
  }
  if (result.starts_with('.')) result.front() = '-';
  return result.empty() ? "unnamed" : result;
}

}  // namespace descent::cli
