#include "cli/run_folder.h"

#include "base/files.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <array>
#include <system_error>

namespace descent::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::array run_files{"config.toml", "metrics.csv", "steps.csv", "model.safetensors",
                               "best.safetensors"};

bool holds_run(const fs::path& folder) {
  for (const char* file : run_files) {
    std::error_code error;
    if (fs::exists(folder / file, error)) return true;
  }
  return false;
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
