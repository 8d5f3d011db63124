// Where a run's results go.
#pragma once

#include <filesystem>
#include <string>

namespace descent::cli {

struct RunFolderChoice {
  std::string out;     // of --out; empty: runs/<name>, or runs/<name>-2, … if there is one already
  bool force = false;  // write into the folder of an older run
};

// Creates the folder and makes sure that it can be written to. Throws Error if it holds a run already.
[[nodiscard]] std::filesystem::path make_run_folder(const RunFolderChoice& choice, const std::string& name);

// Throws what make_run_folder() would about a folder of an older run, and creates nothing.
void check_run_folder(const RunFolderChoice& choice);

// Whether a run has left its files there.
[[nodiscard]] bool holds_run(const std::filesystem::path& folder);

// "my net.v2" → "my-net.v2": fit for one folder's name.
[[nodiscard]] std::string folder_name(const std::string& name);

}  // namespace descent::cli
