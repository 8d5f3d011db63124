// descent doctor: what descent finds on this machine.
#include "base/processor.h"
#include "base/usable_cores.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "descent/data.h"
#include "descent/device.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace descent::cli {

namespace {

void line(const std::string& subject, const std::string& finding) {
  fmt::print("{:<14} {}\n", subject, finding);
}

std::string cores() {
  const std::optional<int> quota = cgroup_cores();
  return fmt::format("{} on this machine, {} by affinity, {}; descent uses {}", ::sysconf(_SC_NPROCESSORS_ONLN),
                     affinity_cores(),
                     quota ? fmt::format("{} by the cgroup's quota", *quota) : "no cgroup quota",
                     requested_threads() ? fmt::format("{}, as OMP_NUM_THREADS says", *requested_threads())
                                         : std::to_string(usable_cores()));
}

void devices() {
  for (const std::string& name : device_names()) {
    try {
      const std::unique_ptr<Device> device = make_device(name, {});
      line("device " + name, device->description());
      for (const DeviceFact& fact : device->facts()) line("  " + fact.subject, fact.finding);
    } catch (const std::exception& error) {
      line("device " + name, std::string("does not work: ") + error.what());
    }
  }
}

void data_sets() {
  for (const KnownDataSet& known : known_data_sets()) {
    const std::filesystem::path folder = find_data_set(known);
    line("data set", folder.empty() ? fmt::format("{}: not found; to get it: {}", known.name, known.how_to_get)
                                    : fmt::format("{}: {}", known.name, folder.string()));
  }
}

}  // namespace

void add_doctor(CLI::App& program) {
  CLI::App* verb = program.add_subcommand("doctor", "show what descent finds on this machine");
  verb->callback([] {
    line("descent", DESCENT_VERSION);
    line("processor", processor_name());
    line("cores", cores());
    devices();
    data_sets();
  });
}

}  // namespace descent::cli
