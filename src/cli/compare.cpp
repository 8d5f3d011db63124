// descent compare: runs beside each other, as tables in the terminal and as a page with their curves.
#include "base/files.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "descent/error.h"
#include "report/compare_report.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace descent::cli {

namespace fs = std::filesystem;

namespace {

void print(const report::Table& table) {
  std::vector<std::vector<std::string>> rows{table.header};
  rows.insert(rows.end(), table.rows.begin(), table.rows.end());
  fmt::print("{}", table_text(rows, table.numeric));
}

void compare(const std::vector<std::string>& names, const fs::path& out) {
  const std::vector<fs::path> folders(names.begin(), names.end());
  const std::vector<std::string> labels = report::unique_labels(folders);
  std::vector<report::LabelledRun> runs;
  for (std::size_t k = 0; k < folders.size(); ++k) {
    const auto leave_out = [&](std::string_view holds) {  // runs/* has them too
      fmt::print(stderr, "descent: '{}' is left out: it holds {}\n", folders[k].string(), holds);
    };
    if (report::ended_before_it_began(folders[k])) {
      leave_out("a run that ended before its first step");
      continue;
    }
    report::RunFiles files = report::read_run(folders[k]);
    if (report::has_run(files)) {
      runs.push_back({labels[k], std::move(files)});
    } else {
      leave_out("a search of 'descent lr-find' and no run");
    }
  }
  if (runs.empty()) throw Error("none of the folders holds a run: make one with 'descent train'");
  print(report::results_table(runs));
  const report::Table differences = report::differences_table(runs);
  if (!differences.rows.empty()) {
    fmt::print("\n");
    print(differences);
  }
  write_file_atomically(out, report::page_text(report::compare_page(runs)));
  fmt::print("\n{}\n", out.string());
}

}  // namespace

void add_compare(CLI::App& program) {
  struct Arguments {
    std::vector<std::string> runs;
    std::string out = "compare.html";
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = program.add_subcommand("compare", "put runs beside each other, in tables and in curves");
  verb->footer(
      "Prints the runs' results and the settings in which they differ; the page has their curves as well.");
  verb->add_option("RUN", arguments->runs, "run folders")->required()->type_name("");
  add_value(*verb, "--out", "FILE.html", "where the page goes", arguments->out,
            [arguments](const std::string& text) {
              if (text.empty()) throw Error("--out needs a value");
              arguments->out = text;
            });
  verb->callback([arguments] { compare(arguments->runs, arguments->out); });
}

}  // namespace descent::cli
