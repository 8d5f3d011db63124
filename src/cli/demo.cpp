// descent demo: the course's small demonstrations, as numbers and as a picture.
#include "base/files.h"
#include "base/names.h"
#include "cli/cli.h"
#include "cli/demo_pages.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace descent::cli {

namespace {

struct DemoArguments {
  std::string what;
  std::string out;
  std::uint64_t seed = 42;
};

const Demonstration& find_demonstration(const std::string& what) {
  std::vector<std::string_view> names;
  for (const Demonstration& one : demonstrations()) names.push_back(one.name);
  const auto found = std::ranges::find(names, what);
  if (found == names.end()) throw Error(unknown_name("demonstration", what, names));
  return demonstrations()[static_cast<std::size_t>(found - names.begin())];
}

void demonstrate(const DemoArguments& arguments) {
  const Demonstration& one = find_demonstration(arguments.what);
  const std::string file = arguments.out.empty() ? fmt::format("demo-{}.html", one.name) : arguments.out;
  const report::Page page = one.page(arguments.seed);
  write_file_atomically(file, report::page_text(page));
  fmt::print("{}\n{}\n", terminal_text(page), file);
}

std::string summaries() {
  std::vector<std::vector<std::string>> rows;
  for (const Demonstration& one : demonstrations()) {
    rows.push_back({"  " + std::string(one.name), std::string(one.summary)});
  }
  return "Demonstrations:\n" + table_text(rows);
}

}  // namespace

void add_demo(CLI::App& program) {
  const auto arguments = std::make_shared<DemoArguments>();
  CLI::App* verb = program.add_subcommand("demo", "show what optimizers and schedules do, in small");
  verb->footer(summaries());
  verb->add_option("WHAT", arguments->what, "one of those below")->required()->type_name("");
  add_value(*verb, "--out", "FILE.html", "where the picture goes", "demo-<what>.html",
            [arguments](const std::string& text) {
              if (text.empty()) throw Error("--out needs a value");
              arguments->out = text;
            });
  add_value(*verb, "--seed", "N", "of the noise", "42", [arguments](const std::string& text) {
    arguments->seed = static_cast<std::uint64_t>(parse_count("--seed", text, 0));
  });
  verb->callback([arguments] { demonstrate(*arguments); });
}

}  // namespace descent::cli
