#include "report/run_report.h"

#include "base/files.h"
#include "report/sections.h"

#include <fmt/format.h>

#include <utility>

namespace descent::report {

namespace {

std::string subtitle(const RunFiles& run) {
  std::string text;
  for (const std::string& part :
       {run.info.data, run.info.model, run.info.optimizer, moment_text(run.info.started)}) {
    if (!part.empty()) text += (text.empty() ? "" : " · ") + part;
  }
  return text;
}

}  // namespace

Page run_page(const RunFiles& run) {
  Page page{.title = run.name, .subtitle = subtitle(run)};
  for (const auto make : {summary_section, curves_section, rate_section, activations_section, gradients_section,
                          parameters_section, finder_section, classes_section, pictures_section,
                          network_section, time_section, configuration_section}) {
    Section section = make(run);
    if (!section.items.empty()) page.sections.push_back(std::move(section));
  }
  return page;
}

void write_report(const std::filesystem::path& folder, const std::filesystem::path& out) {
  write_file_atomically(out.empty() ? folder / "report.html" : out, page_text(run_page(read_run(folder))));
}

}  // namespace descent::report
