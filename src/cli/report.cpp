// descent report: the report of a run, made again from the files of its folder.
#include "cli/cli.h"
#include "cli/verbs.h"
#include "descent/error.h"
#include "report/run_report.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

namespace descent::cli {

namespace fs = std::filesystem;

void add_report(CLI::App& program) {
  struct Arguments {
    std::string run;
    std::string out;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb =
      program.add_subcommand("report", "make a run's report.html again from the files in its folder");
  verb->footer(
      "The report is one file that opens without a network: curves, statistics, classes, pictures, time.");
  verb->add_option("RUN", arguments->run, "a run folder")->required()->type_name("");
  add_value(*verb, "--out", "FILE.html", "where the report goes", "RUN/report.html",
            [arguments](const std::string& text) {
              if (text.empty()) throw Error("--out needs a value");
              arguments->out = text;
            });
  verb->callback([arguments] {
    const fs::path out =
        arguments->out.empty() ? fs::path(arguments->run) / "report.html" : fs::path(arguments->out);
    report::write_report(arguments->run, out);
    fmt::print("{}\n", out.string());
  });
}

}  // namespace descent::cli
